// A smoke test leaves nothing behind: whatever it made under its marker is removed again, also
// what a call that failed half way has left.
Parse.Cloud.define('forgetSmokeTest', async ({ user, params: { marker } }) => {
  if (!user || !/^Backout \S/.test(marker)) {
    throw new Parse.Error(Parse.Error.OPERATION_FORBIDDEN, 'this is for smoke tests');
  }
  const asMaster = { useMasterKey: true };
  let forgotten = 0;
  for (const [name, field] of [['UserConcert', 'notes'], ['Concert', 'artist_id']]) {
    const traces = await new Parse.Query(name).equalTo(field, marker).limit(1000).find(asMaster);
    for (const trace of traces) await trace.destroy(asMaster);
    forgotten += traces.length;
  }
  return forgotten;
});
