// How often the cloud SDK tries a request that fails; its own default is 5.
Parse.Cloud.define('setAttempts', async (request) => {
  Parse.CoreManager.set('REQUEST_ATTEMPT_LIMIT', request.params.limit);
}, { requireMaster: true });

exports.newConcert = async (params) => {
  const concert = new Parse.Object('Concert');
  concert.set('artist_id', params.artist_id);
  concert.set('venue_id', params.venue_id);
  concert.set('concert_date', new Date(params.concert_date));
  return concert.save(null, { useMasterKey: true });
};
