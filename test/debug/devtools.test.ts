/** Chrome's DevTools on one function: its own front end, over saves that shift lines. */
import t from "tap";

import { inFull } from "../support/counts.ts";
import { chromiumMissing } from "../support/parts.ts";
import { FrontEnd } from "./front-end.ts";
import { attached, Debugged, lineOf } from "./support.ts";

/** Where it stands, as the front end shows it. */
type Shown = { readonly place: string; readonly line: string; readonly breakpoints: readonly string[] };

t.test(
  "a breakpoint that was set once in its sources stops on each call, over four swaps of the process",
  { skip: chromiumMissing || inFull },
  async (t) => {
    await using debugged = await Debugged.open(["One"]);
    const status = await debugged.client.call("debug.status", {});
    if (status.state === "off") throw new Error("debugging is off");
    const [{ websocketAddress: target } = { websocketAddress: "" }] = status.targets;
    await using chrome = await FrontEnd.open(target, debugged.rig);
    await attached(debugged.client);

    let text = await debugged.save("One", 0);
    t.equal(await debugged.invoke("One"), '"One 0"');
    await chrome.run(`
      const workspace = Workspace.Workspace.WorkspaceImpl.instance();
      const find = () => workspace.uiSourceCodes().find((code) => code.url().endsWith("/src/One.ts"));
      await until(find);
      const manager = Breakpoints.BreakpointManager.BreakpointManager.instance();
      const breakpoint = await manager.setBreakpoint(find(), ${lineOf(text, "HERE") - 1}, undefined, "", true, false, "USER_ACTION");
      // It is shown at once; the process has it when it says where.
      await until(() => breakpoint.getLastResolvedState()?.length > 0);
    `);
    for (let swap = 0; swap <= 4; swap++) {
      if (swap > 0) text = await debugged.save("One", swap);
      const from = debugged.events.length;
      const stopped = chrome.run<Shown>(`
        const [model] = SDK.TargetManager.TargetManager.instance().models(SDK.DebuggerModel.DebuggerModel);
        await until(() => model.isPaused());
        const [frame] = model.debuggerPausedDetails().callFrames;
        const binding = Bindings.DebuggerWorkspaceBinding.DebuggerWorkspaceBinding.instance();
        let at;
        // Its source map is read behind the script.
        await until(async () => {
          at = await binding.rawLocationToUILocation(frame.location());
          return at.uiSourceCode.url().endsWith("/One.ts");
        });
        const source = (await at.uiSourceCode.requestContentData()).text;
        const manager = Breakpoints.BreakpointManager.BreakpointManager.instance();
        return {
          place: at.linkText(),
          line: source.split("\\n")[at.lineNumber],
          breakpoints: manager.allBreakpointLocations().map(({ uiLocation }) => uiLocation.linkText()),
        };
      `);
      let answer = debugged.invoke("One");
      const missed = () => Promise.race([stopped.then(() => false), answer.then(() => true)]);
      if (await missed()) {
        // A browser that takes longer than livedevd's patience misses the first call, of which its user is told.
        await debugged.recorded("function.logged", ({ text }) => text.includes("one may be missed"), from);
        do answer = debugged.invoke("One");
        while (await missed());
      }
      const shown = await stopped;
      await chrome.run(`
        const [model] = SDK.TargetManager.TargetManager.instance().models(SDK.DebuggerModel.DebuggerModel);
        model.resume();
        await until(() => !model.isPaused());
      `);
      const place = `One.ts:${lineOf(text, "HERE")}`;
      t.same(shown, { place, line: `  const word = loaded + " ${swap}"; // HERE`, breakpoints: [place] });
      t.equal(await answer, `"One ${swap}"`);
    }
    t.equal(chrome.connections, 1, "by one connection, all the while");
  },
);
