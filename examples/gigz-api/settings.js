// Everything that differs from place to place comes from the environment.
const { env } = process;
env.PARSE_SERVER_LOGS_FOLDER ??= 'null'; // the log is what is written to stdout
const port = Number(env.PORT || 1337);
const host = env.HOST || '127.0.0.1';

module.exports = {
  host,
  port,
  parse: {
    databaseURI: env.DATABASE_URL,
    cloud: `${__dirname}/cloud/main.js`,
    appId: env.APP_ID,
    masterKey: env.MASTER_KEY,
    restAPIKey: env.REST_API_KEY,
    serverURL: `http://${host}:${port}/parse`,
    allowClientClassCreation: false,
    directAccess: false,
    logLevel: 'error',
  },
};
