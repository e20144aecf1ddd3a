/** `1450` → `14.50 EUR`, in the currency of the function's environment. */
export function price(cents: number): string {
  return `${(cents / 100).toFixed(2)} ${process.env.CURRENCY ?? "EUR"}`;
}
