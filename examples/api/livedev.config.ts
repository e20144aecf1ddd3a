import { $config, aws } from "livedev";

export default $config({
  app() {
    return { name: "bookshop", home: "local" };
  },
  async run() {
    const api = new aws.Function("MyApi", {
      handler: "src/api.handler",
      runtime: "nodejs20.x",
      url: true,
      timeout: "10 seconds",
      memory: "512 MB",
      environment: { CURRENCY: "EUR" },
    });
    return { url: api.url };
  },
});
