/** What code prints that means no good to whoever's terminal shows it. */
const ESC = "\u001B";

/** A title, the clipboard, the cursor, a wiped screen, a hidden text, another direction, HTML, a false end of line. */
export const HOSTILE = [
  `title ${ESC}]0;pwned\u0007`,
  `clipboard ${ESC}]52;c;cm0gLXJmIH4=\u0007`,
  `link ${ESC}]8;;http://evil.example${ESC}\\here${ESC}]8;;${ESC}\\`,
  `cursor ${ESC}[2A${ESC}[2K all is well`,
  `screen ${ESC}[2J${ESC}[H${ESC}c`,
  `report ${ESC}[6n${ESC}[c`,
  `eight bits \u009B2J \u009D0;pwned\u009C`,
  `bidi \u202Egnp.exe\u202C`,
  `line\rover it`,
  `bell \u0007 backspace \b\b\b nul \u0000`,
  `<script>alert(1)</script><img src=x onerror=alert(1)>`,
];
