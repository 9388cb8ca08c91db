// A Tickwire client on the `ws` package, written from PROTOCOL.md: connects a `Session` to a server, and connects it
// again.
//
// Whatever happens is a line of JSON on stdout whose "ev" names it. Bytes are written as {"hex": "..."} both ways.
// Commands are lines of JSON on stdin:
//
//   {"send": [["hello", {}], ["join", {"name": "arena"}]]}   frames, in one message
//   {"cut": true}      ends the connection without a word; what is sent then waits for the next one
//   {"again": {"url": "ws://..", "hello": {}, "handles": [1]}}   connects, resumes, and joins again
//   {"ping": {}}       {"text": "a text message"}            {"state": 1}     and the end of stdin closes
//
//   node client_ws.mjs ws://127.0.0.1:7070/ws [subprotocol, or "" for none]

import { createInterface } from 'node:readline';

import WebSocket from 'ws';

import { readBytes, writeBytes } from './json_bytes.mjs';
import { Session } from './session.mjs';

function report(event) {
  process.stdout.write(JSON.stringify(event, writeBytes) + '\n');
}

/** One session, over one connection after the other. */
class Client {
  constructor(ended) {
    this.ended = ended;
    this.socket = null;
    this.session = new Session((bytes) => this.put(bytes), report);
  }

  put(bytes) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(bytes);
  }

  connect(url, subprotocol, opened) {
    const wanted = subprotocol ? [subprotocol] : [];
    const socket = new WebSocket(url, wanted, { perMessageDeflate: false, handshakeTimeout: 5000 });
    let over = false;
    const end = (what) => {
      if (over) return;
      over = true;
      this.socket = null;
      if (socket.cut) return report({ ev: 'cut' });
      report({ ev: 'end', ...what });
      this.ended();
    };
    socket.on('open', () => {
      this.socket = socket;
      if (socket.protocol !== subprotocol) this.session.violation(`the server picked subprotocol ${socket.protocol}`);
      opened();
    });
    socket.on('message', (bytes, isBinary) => this.session.message(bytes, isBinary));
    socket.on('unexpected-response', (request, response) => {
      end({ status: response.statusCode });
      request.destroy();
    });
    socket.on('error', (error) => process.stderr.write(`${error.message}\n`));
    socket.on('close', (code, reason) => end({ code, text: reason.toString() }));
  }

  cut() {
    if (this.socket === null) return;
    this.socket.cut = true;
    this.socket.terminate();
    this.socket = null;
  }

  obey(order) {
    const { session } = this;
    if (order.send) this.put(Buffer.concat(order.send.map(([name, args]) => session.say(name, args))));
    if (order.ping) session.ping(order.ping.extensions);
    if (order.text) this.socket.send(order.text);
    if (order.state !== undefined) report({ ev: 'state', ...session.state(order.state) });
    if (order.cut) this.cut();
    if (order.again) {
      const { url, hello, handles } = order.again;
      const frames = () => [session.helloAgain(hello), ...handles.map((handle) => session.joinAgain(handle))];
      this.connect(url, 'tickwire.v1', () => this.put(Buffer.concat(frames())));
    }
  }
}

function main(url, subprotocol = 'tickwire.v1') {
  const orders = createInterface({ input: process.stdin });
  orders.pause();
  let ended = false;
  const client = new Client(() => {
    ended = true;
    orders.close();
    process.stdin.destroy();
  });
  orders.on('line', (line) => client.obey(JSON.parse(line, readBytes)));
  orders.on('close', () => ended || client.socket?.close());
  client.connect(url, subprotocol, () => orders.resume());
}

main(...process.argv.slice(2));
