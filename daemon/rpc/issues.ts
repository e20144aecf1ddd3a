import type * as z from "zod";

const MAX_ISSUES = 3;
const MAX_LENGTH = 500;

/** What is wrong with params, each with the property's name: `limit: Too big: expected number to be <=1000`. */
export function describeIssues(error: z.ZodError): string {
  const told = error.issues
    .slice(0, MAX_ISSUES)
    .map((issue) => `${issue.path.length > 0 ? issue.path.join(".") : "params"}: ${issue.message}`);
  const more = error.issues.length - told.length;
  if (more > 0) told.push(`and ${more} more`);
  // A message may name a key that the caller made up, of any length.
  return `Invalid params: ${told.join("; ")}`.slice(0, MAX_LENGTH);
}
