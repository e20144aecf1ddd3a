/** SST's folder for what is new there. */
export { DevCommand } from "./processes.ts";
