set :application, "api"
set :repo_url, "/srv/api.git"
set :branch, "main"
set :deploy_to, "/srv/api"

namespace :deploy do
  desc "Restart the first host and prove it, then all others"
  task :restart do
    first, *others = roles(:app).to_a
    [[first], others].each do |batch|
      on batch do |host|
        execute :supervisorctl, "restart", "api"
        execute :curl, "-fsS", "--retry", "10", "--retry-delay", "1", "--retry-all-errors",
                "http://#{host.hostname}:8080/health"
      end
    end
  end
  after :publishing, :restart
end
