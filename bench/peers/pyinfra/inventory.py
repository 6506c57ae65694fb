web = ["web1", "web2", "web3"]
