/** What can go wrong, told as data: a kind, and the numbers that belong to it (SPEC 8). */

/** The kind of a {@link TickwireError}. */
export type ErrorKind =
  /** No connection can be made with this address. */
  | "connect"
  /** The server sent what cannot be read, or must not come. */
  | "protocol"
  /** The server speaks other versions of the protocol. */
  | "version"
  /** The token callback failed, or a renewed token was refused. */
  | "token"
  /** The server refused a command or a message. */
  | "refused"
  /** A message cannot leave now, and there is no place for it to wait. */
  | "queue-full"
  /** A message is larger than the server takes. */
  | "too-large"
  /** A handler or a codec of the application threw. */
  | "handler"
  /** The client is closed, or the room is left. */
  | "closed";

/** An error of the client. It is thrown by a call, or told by the client's `error` event; never thrown out of a timer or a socket. */
export class TickwireError extends Error {
  /** What went wrong. */
  declare readonly kind: ErrorKind;
  /** The reason's number (PROTOCOL 14), 0 where there is none. */
  declare readonly reason: number;
  /** The room that it is about. */
  declare readonly room?: string;
  /** The number of the data frame that was refused. */
  declare readonly number?: number;

  /** @internal `cause`: what was thrown, for the kinds `handler`, `token` and `connect`; what the server says, for `refused`. */
  constructor(kind: ErrorKind, reason = 0, room?: string, cause?: unknown, number?: number) {
    super(reason ? `${kind} ${reason}` : kind, { cause });
    Object.assign(this, { kind, reason, room, number });
  }
}
