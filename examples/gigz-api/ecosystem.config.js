// pm2 startOrRestart ecosystem.config.js --only gigz-api --update-env
const path = require('path');

module.exports = {
  apps: [
    {
      name: 'gigz-api',
      cwd: __dirname,
      script: 'index.js',
      node_args: [`--env-file=${path.join(__dirname, '..', 'gigz-api.env')}`],
      max_restarts: 5,
      min_uptime: '2s',
      kill_timeout: 5000,
    },
  ],
};
