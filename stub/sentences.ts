/** Every sentence of the stub that a caller or a user can read. */
import type { Settings } from "./settings.ts";

const place = ({ app, stage }: Settings) => `${app}, stage ${stage}`;

export const ERROR = {
  away: "Livedev.Away",
  refused: "Livedev.Refused",
  unknown: "Livedev.OutcomeUnknown",
} as const;

export const away = (settings: Settings) =>
  `Nobody develops ${place(settings)} now: livedevd is not running. \`livedevd start\` answers again, a deploy puts the real code back.`;

export const unreachable = (settings: Settings, why: string) =>
  `livedevd for ${place(settings)} could not be reached (${why}). \`livedevd start\` answers again.`;

export const refused = (settings: Settings, sentence: string) =>
  `livedevd for ${place(settings)} refused this stub. ${sentence}`;

export const unknown = (settings: Settings, position: string, why: string) =>
  `The connection to livedevd for ${place(settings)} was lost while the event was ${position}, and ${why}: whether it ran to its end is unknown.`;
