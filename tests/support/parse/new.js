// The code after the change: it saves through the SDK.
const { newConcert } = require('./attempts.js');

Parse.Cloud.define('addConcert', async (request) => {
  if (!request.user) {
    throw new Parse.Error(Parse.Error.INVALID_SESSION_TOKEN, 'login required');
  }
  const concert = await newConcert(request.params);
  const userConcert = new Parse.Object('UserConcert');
  userConcert.set('user', request.user);
  userConcert.set('concert', concert);
  userConcert.set('notes', request.params.notes);
  return userConcert.save(null, { useMasterKey: true });
});
