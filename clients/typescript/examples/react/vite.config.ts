import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// The package is a link to a folder that has a React of its own; there must be one.
export default defineConfig({ plugins: [react()], resolve: { dedupe: ["react", "react-dom"] } });
