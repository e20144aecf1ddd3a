/** Of functions, sites and whatever else answers at one. */
export function urlsOf(known: Readonly<Record<string, unknown>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(known).flatMap(([ref, value]) =>
      ref.endsWith(".url") && typeof value === "string" ? [[ref.slice(0, -".url".length), value]] : [],
    ),
  );
}
