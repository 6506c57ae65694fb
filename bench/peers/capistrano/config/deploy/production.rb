server "web1", user: "root", roles: %w[app]
server "web2", user: "root", roles: %w[app]
server "web3", user: "root", roles: %w[app]
