// The same service for Node: quick pages, slow ones, and a WebSocket that echoes. `PORT=… node
// app.js`. At SIGINT it takes nothing new, ends what is open, and goes: PM2's graceful shutdown.
const crypto = require("crypto");
const http = require("http");

const MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const server = http.createServer((request, response) => {
  const slow = request.url.startsWith("/slow/") ? Number(request.url.slice(6)) : 0;
  setTimeout(() => response.end(`node 1 ${process.pid}`), slow * 1000);
});

server.on("upgrade", (request, socket) => {
  const key = crypto.createHash("sha1").update(request.headers["sec-websocket-key"] + MAGIC);
  socket.write(
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
      `Sec-WebSocket-Accept: ${key.digest("base64")}\r\n\r\n`,
  );
  socket.on("error", () => {});
  socket.on("data", (frame) => {
    const size = frame[1] & 127;
    const said = frame.subarray(6, 6 + size).map((byte, at) => byte ^ frame[2 + (at % 4)]);
    socket.write(Buffer.concat([Buffer.from([frame[0], size]), said]));
  });
});

process.on("SIGINT", () => server.close(() => process.exit(0)));
server.listen(Number(process.env.PORT), "127.0.0.1", 1024);
