// A Socket.IO hub, WebSocket alone: an event to a room without its sender. node socketio.js PORT
const { Server } = require('socket.io');

const http = require('http').createServer();
const io = new Server(http, { transports: ['websocket'], perMessageDeflate: false, serveClient: false });

io.on('connection', (socket) => {
  let room;
  socket.on('join', (name, receives) => {
    room = name;
    if (receives) socket.join(name);
    socket.emit('joined');
  });
  socket.on('m', (data) => socket.to(room).emit('m', data));
});
http.listen(Number(process.argv[2]), '127.0.0.1', 4096);
