// "I was there": a concert, and the link between it and the user.
Parse.Cloud.define('addConcert', async ({ user, params }) => {
  if (!user) throw new Parse.Error(Parse.Error.INVALID_SESSION_TOKEN, 'log in first');
  const concert = new Parse.Object('Concert');
  concert.set('artist_id', params.artist_id);
  concert.set('venue_id', params.venue_id);
  concert.set('concert_date', new Date(params.concert_date));
  await concert.save(null, { useMasterKey: true });
  // Through Parse, which knows how it stores a pointer.
  const link = new Parse.Object('UserConcert');
  link.set('user', user);
  link.set('concert', concert);
  link.set('notes', params.notes);
  return link.save(null, { useMasterKey: true });
});
