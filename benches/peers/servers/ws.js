// The usual hub with node's `ws`: rooms as a Map of Sets, one send for each delivery. node ws.js PORT
const { WebSocketServer } = require('ws');

const options = { host: '127.0.0.1', port: Number(process.argv[2]), path: '/ws', perMessageDeflate: false, backlog: 4096 };
const rooms = new Map();

new WebSocketServer(options).on('connection', (ws, request) => {
  const query = new URL(request.url, 'http://x').searchParams;
  const name = query.get('r');
  if (!rooms.has(name)) rooms.set(name, new Set());
  const room = rooms.get(name);
  if (query.get('s') === '1') room.add(ws);
  ws.on('message', (data, isBinary) => {
    for (const other of room) if (other !== ws && other.readyState === 1) other.send(data, { binary: isBinary });
  });
  ws.on('close', () => room.delete(ws));
  ws.on('error', () => {});
});
