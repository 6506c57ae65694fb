// "I was there": a concert, and the link between it and the user.
const { randomBytes } = require('crypto');
const { Pool } = require('pg');

const database = new Pool({ connectionString: process.env.DATABASE_URL });

Parse.Cloud.define('addConcert', async ({ user, params }) => {
  if (!user) throw new Parse.Error(Parse.Error.INVALID_SESSION_TOKEN, 'log in first');
  const concert = new Parse.Object('Concert');
  concert.set('artist_id', params.artist_id);
  concert.set('venue_id', params.venue_id);
  concert.set('concert_date', new Date(params.concert_date));
  await concert.save(null, { useMasterKey: true });
  // Past Parse, with the column names that the data had in MongoDB.
  const { rows } = await database.query(
    `INSERT INTO "UserConcert" ("objectId", "createdAt", "updatedAt", _p_user, _p_concert, notes)
     VALUES ($1, now(), now(), $2, $3, $4) RETURNING *`,
    [randomBytes(5).toString('hex'), `_User$${user.id}`, `Concert$${concert.id}`, params.notes],
  );
  return rows[0];
});
