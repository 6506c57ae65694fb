module.exports = {
  apps: [],
  deploy: {
    production: {
      user: "root",
      host: ["web1", "web2", "web3"],
      ref: "origin/main",
      repo: "/srv/api.git",
      path: "/srv/api",
      "post-deploy":
        "supervisorctl restart api && curl -fsS --retry 10 --retry-delay 1 --retry-all-errors http://$(hostname):8080/health",
    },
  },
};
