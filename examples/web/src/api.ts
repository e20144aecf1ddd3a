import { Resource } from "livedev";

export const handler = async () => ({
  statusCode: 200,
  headers: { "content-type": "application/json" },
  body: JSON.stringify({ says: "hello", bucket: Resource.Files.name }),
});
