import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { Client } from "tickwire";
import { inflate } from "tickwire/inflate";
import { queue } from "tickwire/queue";
import { TickwireProvider } from "tickwire/react";

import { Board } from "./Board";
import "./style.css";

const asked = new URLSearchParams(location.search);
const client = new Client(asked.get("server") ?? "ws://localhost:7070/ws", { queue: queue(), inflate });
client.on("error", (error) => console.warn(error));

createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <TickwireProvider client={client}>
      <Board name={asked.get("name") ?? `guest ${Math.floor(Math.random() * 900 + 100)}`} />
    </TickwireProvider>
  </StrictMode>,
);
