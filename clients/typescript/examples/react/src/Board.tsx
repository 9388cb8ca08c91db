// A board that all who look at it share: cursors, rings where somebody clicks, and what is said.

import { useEffect, useMemo, useRef, useState, type FormEvent, type PointerEvent } from "react";
import type { Member, Room } from "tickwire";
import { interpolator, type Interpolator } from "tickwire/interpolate";
import { useClient, useConnection, useEvent, usePresence, useRoom } from "tickwire/react";

import { colour, note, place, PLACE, type Note, type Place } from "./messages";

type BoardRoom = Room<Note | undefined, Place>;

/** What is said, and where it rings: shown for a while. */
interface Shown {
  id: number;
  member: number;
  note: Note;
}

/** How many lines are shown. */
const LINES = 8;

const shownAs = (member: Member | undefined, number: number) =>
  (member && new TextDecoder().decode(member.data)) || `member ${number}`;

export function Board({ name }: { name: string }) {
  const options = useMemo(
    () => ({ event: note, value: place, echo: true, presence: new TextEncoder().encode(name.slice(0, 40)) }),
    [name],
  );
  const room = useRoom<Note | undefined, Place>("board", options);
  const [shown, setShown] = useState<Shown[]>([]);
  const count = useRef(0);

  useEvent(room, (note, member) => {
    if (note) setShown((before) => [...before.slice(1 - 2 * LINES), { id: count.current++, member, note }]);
  });
  const at = (event: PointerEvent): Place => {
    const box = event.currentTarget.getBoundingClientRect();
    return { x: inside((event.clientX - box.left) / box.width), y: inside((event.clientY - box.top) / box.height) };
  };
  return (
    <main>
      <Header room={room} />
      <section
        className="board"
        onPointerMove={(event) => room.set(PLACE, at(event))}
        onPointerDown={(event) => room.publish({ is: "ring", at: at(event) })}
      >
        {shown.map(({ id, member, note }) =>
          note.is === "ring" ? (
            <span
              key={id}
              className="ring"
              style={{ left: `${note.at.x * 100}%`, top: `${note.at.y * 100}%`, color: colour(member) }}
            />
          ) : null,
        )}
        <Cursors room={room} />
        <p className="hint">Move to show where you are. Click to ring.</p>
      </section>
      <Talk room={room} said={shown} />
    </main>
  );
}

const inside = (share: number) => Math.min(1, Math.max(0, share));

function Header({ room }: { room: BoardRoom }) {
  const { state } = useConnection();
  const client = useClient();
  const members = usePresence(room);
  const [rtt, setRtt] = useState(NaN);
  useEffect(() => {
    const timer = setInterval(() => setRtt(client.rtt), 1000);
    return () => clearInterval(timer);
  }, [client]);
  return (
    <header>
      <h1>Board</h1>
      <ul aria-label="members">
        {members.map((member) => (
          <li key={member.member} className={member.away ? "away" : ""} style={{ color: colour(member.member) }}>
            {shownAs(member, member.member)}
            {member.member === room.member && " (you)"}
          </li>
        ))}
      </ul>
      <output className={state}>
        {state}
        {state === "connected" && rtt >= 0 && `, ${rtt.toFixed(1)} ms`}
      </output>
    </header>
  );
}

/** The others' cursors. They move with the screen, not with React: each is where its member was two ticks ago. */
function Cursors({ room }: { room: BoardRoom }) {
  const client = useClient();
  const members = usePresence(room);
  const paths = useRef(new Map<number, Interpolator<Place>>());
  const nodes = useRef(new Map<number, HTMLElement>());

  useEffect(() => {
    const push = (owner: number, value: Place | undefined) => {
      if (!value) return void paths.current.delete(owner);
      let path = paths.current.get(owner);
      if (!path) paths.current.set(owner, (path = interpolator<Place>({ delay: 2 * room.period })));
      path.push(client.serverTime(), value);
    };
    for (const { key, owner, value } of room.values()) if (key === PLACE) push(owner, value);
    return room.on("value", (key, value, owner) => key === PLACE && push(owner, value));
  }, [room, client]);

  useEffect(() => {
    let frame = requestAnimationFrame(function draw() {
      for (const [member, node] of nodes.current) {
        const at = paths.current.get(member)?.at(client.serverTime());
        node.hidden = !at;
        if (at) node.style.translate = `${at.x * node.parentElement!.clientWidth}px ${at.y * node.parentElement!.clientHeight}px`;
      }
      frame = requestAnimationFrame(draw);
    });
    return () => cancelAnimationFrame(frame);
  }, [client]);

  return members
    .filter(({ member }) => member !== room.member)
    .map((member) => (
      <span
        key={member.member}
        className="cursor"
        hidden
        style={{ color: colour(member.member) }}
        ref={(node) => {
          if (node) nodes.current.set(member.member, node);
          else nodes.current.delete(member.member);
        }}
      >
        <svg viewBox="0 0 16 16" aria-hidden="true">
          <path d="M1 1 L6 15 L8.5 8.5 L15 6 Z" />
        </svg>
        <b>{shownAs(member, member.member)}</b>
      </span>
    ));
}

function Talk({ room, said }: { room: BoardRoom; said: Shown[] }) {
  const [draft, setDraft] = useState("");
  const say = (event: FormEvent) => {
    event.preventDefault();
    if (draft.trim()) room.publish({ is: "said", text: draft.trim() });
    setDraft("");
  };
  return (
    <aside>
      <ol aria-label="said">
        {said
          .filter(({ note }) => note.is === "said")
          .slice(-LINES)
          .map(({ id, member, note }) => (
            <li key={id}>
              <b style={{ color: colour(member) }}>{shownAs(room.members.get(member), member)}</b>{" "}
              {note.is === "said" && note.text}
            </li>
          ))}
      </ol>
      <form onSubmit={say}>
        <input
          value={draft}
          onChange={(event) => setDraft(event.target.value)}
          placeholder="Say something"
          aria-label="Say something"
          maxLength={200}
        />
        <button>Say</button>
      </form>
    </aside>
  );
}
