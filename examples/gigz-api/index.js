const { host, parse, port } = require('./settings.js'); // first: it sets where Parse logs to
const express = require('express');
const { ParseServer } = require('parse-server');

async function main() {
  const server = new ParseServer(parse);
  await server.start();
  const app = express();
  app.use('/parse', server.app);
  const listener = app.listen(port, host, () => console.log(`gigz-api listens on ${host}:${port}`));
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.once(signal, () => {
      listener.close(() => process.exit(0)); // let what is being answered be answered
      setTimeout(() => process.exit(0), 2000);
    });
  }
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
