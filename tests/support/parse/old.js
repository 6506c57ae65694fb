// The code before the change: it writes the table itself, with the other database's column names.
const { Pool } = require('pg');
const { newConcert } = require('./attempts.js');

const database = new Pool({ connectionString: process.env.DATABASE_URL });
const newId = () => require('crypto').randomBytes(5).toString('hex');

Parse.Cloud.define('addConcert', async (request) => {
  if (!request.user) {
    throw new Parse.Error(Parse.Error.INVALID_SESSION_TOKEN, 'login required');
  }
  const concert = await newConcert(request.params);
  const result = await database.query(
    `INSERT INTO "UserConcert" ("objectId", "createdAt", "updatedAt", _p_user, _p_concert, notes)
     VALUES ($1, now(), now(), $2, $3, $4) RETURNING *`,
    [newId(), `_User$${request.user.id}`, `Concert$${concert.id}`, request.params.notes],
  );
  return result.rows[0];
});
