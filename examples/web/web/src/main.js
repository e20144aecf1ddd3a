import { show } from "./show.js";

await Promise.all([show("api", import.meta.env.VITE_API_URL), show("clock", import.meta.env.VITE_CLOCK_URL)]);
