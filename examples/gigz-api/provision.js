// Declares the two classes and signs a user up for smoke tests, whose session token it prints.
const { parse } = require('./settings.js');
const express = require('express');
const { ParseServer } = require('parse-server');

const text = { type: 'String' };
const pointer = (targetClass) => ({ type: 'Pointer', targetClass, required: true });
const SCHEMAS = {
  Concert: { artist_id: text, venue_id: text, concert_date: { type: 'Date' } },
  UserConcert: { user: pointer('_User'), concert: pointer('Concert'), notes: text },
};

async function ask(url, body, extra) {
  const headers = { 'X-Parse-Application-Id': parse.appId, 'Content-Type': 'application/json' };
  const request = { method: 'POST', headers: { ...headers, ...extra }, body: JSON.stringify(body) };
  const answer = await fetch(url, request);
  const said = await answer.json();
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${JSON.stringify(said)}`);
  return said;
}

async function main() {
  const app = express();
  const listener = await new Promise((ready) => {
    const opened = app.listen(0, '127.0.0.1', () => ready(opened));
  });
  const url = `http://127.0.0.1:${listener.address().port}/parse`;
  const server = new ParseServer({ ...parse, serverURL: url });
  await server.start();
  app.use('/parse', server.app);
  const master = { 'X-Parse-Master-Key': parse.masterKey };
  for (const [className, fields] of Object.entries(SCHEMAS)) {
    await ask(`${url}/schemas/${className}`, { className, fields }, master);
  }
  const password = require('crypto').randomUUID();
  const user = { username: `smoke-${Date.now()}`, password };
  // Not with the master key: then the answer would hold no session token.
  const signedUp = await ask(`${url}/users`, user, { 'X-Parse-REST-API-Key': parse.restAPIKey });
  console.log(signedUp.sessionToken);
  process.exit(0);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
