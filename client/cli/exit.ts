/** What a command's exit code says; README.md lists them. */
export const EXIT = {
  done: 0,
  failed: 1,
  usage: 2,
  notRunning: 3,
  /** The function was reached, and answered with an error of its own. */
  functionError: 4,
  interrupted: 130,
} as const;

export type Exit = (typeof EXIT)[keyof typeof EXIT];
