import { Redis } from "ioredis";
import { Resource } from "livedev";
import pg from "pg";

const { host, port, username, password, database } = Resource.Database;
const pool = new pg.Pool({ host, port, user: username, password, database });
const cache = new Redis({ host: Resource.Cache.host, port: Resource.Cache.port });

/** `POST /` with a note keeps it in PostgreSQL, `GET /` lists what is there; Redis counts both. */
export async function handler(event: { requestContext: { http: { method: string } }; body?: string }) {
  await pool.query("create table if not exists notes (id serial primary key, text text not null)");
  if (event.requestContext.http.method === "POST") {
    await pool.query("insert into notes (text) values ($1)", [event.body ?? ""]);
  }
  const { rows } = await pool.query<{ text: string }>("select text from notes order by id");
  return { notes: rows.map(({ text }) => text), asked: await cache.incr("asked") };
}
