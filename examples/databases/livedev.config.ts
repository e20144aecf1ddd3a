import { $config, aws } from "livedev";

/** A function with a PostgreSQL and a Redis: in dev those of this machine, which run as long as livedevd does. */
export default $config({
  app: () => ({ name: "databases", home: "local" }),
  async run() {
    const ports = {
      postgres: Number(process.env.POSTGRES_PORT ?? 5432),
      redis: Number(process.env.REDIS_PORT ?? 6379),
    };
    // A deployment to AWS makes real ones: give them a Vpc then, `vpc: new aws.Vpc("Network")`.
    const database = new aws.Postgres("Database", {
      database: "postgres",
      dev: { port: ports.postgres, command: `sh local/postgres.sh ${ports.postgres}` },
    });
    const cache = new aws.Redis("Cache", {
      dev: { port: ports.redis, command: `sh local/redis.sh ${ports.redis}` },
    });
    const api = new aws.Function("Api", {
      handler: "src/api.handler",
      link: [database, cache],
      url: true,
    });
    return { api: api.url };
  },
});
