// Parse Server mounted in Express, as the service of the tests runs it.
const express = require('express');
const { ParseServer } = require('parse-server');

async function main() {
  const url = `http://127.0.0.1:${process.env.PORT}/parse`;
  const server = new ParseServer({
    databaseURI: process.env.DATABASE_URL,
    cloud: process.env.CLOUD,
    appId: 'gigz',
    masterKey: 'master',
    restAPIKey: 'rest',
    serverURL: url,
    allowClientClassCreation: true,
    directAccess: false,
    logLevel: 'error',
    logsFolder: null,
  });
  await server.start();
  const app = express();
  app.use('/parse', server.app);
  app.listen(Number(process.env.PORT), '127.0.0.1');
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
