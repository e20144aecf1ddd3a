import { Argument, type Command } from "commander";

import type { Cli } from "./cli.ts";
import { print } from "./output.ts";

export function completionCommand(cli: Cli): Command {
  return cli
    .bare(
      "completion",
      "Prints what makes your shell complete commands, options and the names of your functions.",
      [
        ['eval "$(livedev completion bash)"', "in ~/.bashrc"],
        ['eval "$(livedev completion zsh)"', "in ~/.zshrc, behind compinit"],
        ["livedev completion fish | source", "in ~/.config/fish/config.fish"],
      ],
    )
    .addArgument(new Argument("<shell>", "yours").choices(Object.keys(SCRIPTS)))
    .action(
      cli.action(async ({ args: [shell = ""] }) => {
        print(SCRIPTS[shell as keyof typeof SCRIPTS].trimEnd());
      }),
    );
}

/** Thin: each asks the program itself (complete.ts), so that they need not change when a command does. */
const SCRIPTS = {
  bash: `# livedev's completion for bash: eval "$(livedev completion bash)" in ~/.bashrc
_livedev() {
  local line="\${COMP_LINE:0:COMP_POINT}" words current shown prefix word IFS=$' \\t\\n'
  read -ra words <<< "$line"
  [[ "$line" == *[[:space:]] ]] && words+=("")
  current="\${words[\${#words[@]}-1]}"
  # bash takes "fn:MyApi=ready" for five words, and replaces the last alone.
  shown="\${COMP_WORDS[COMP_CWORD]}"
  [[ "$shown" == [:=] ]] && shown=""
  prefix="\${current%"$shown"}"
  COMPREPLY=()
  while IFS=$'\\t' read -r word _; do
    if [[ "$word" == ":files" ]]; then
      compopt -o filenames 2>/dev/null
      while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen -f -- "$current")
    elif [[ -n "$word" ]]; then
      COMPREPLY+=("\${word#"$prefix"}")
    fi
  done < <("\${words[0]}" __complete -- "\${words[@]:1}" 2>/dev/null)
}
complete -F _livedev livedev livedevd
`,
  zsh: `#compdef livedev livedevd
# livedev's completion for zsh: eval "$(livedev completion zsh)" in ~/.zshrc, behind compinit
_livedev() {
  local -a lines described
  local line
  lines=("\${(@f)$("\${words[1]}" __complete -- "\${(@)words[2,CURRENT-1]}" "$PREFIX" 2>/dev/null)}")
  for line in "\${lines[@]}"; do
    [[ -z "$line" ]] && continue
    if [[ "$line" == ":files" ]]; then
      _files
      return
    fi
    described+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${\${line#*$'\\t'}##\${line%%$'\\t'*}}")
  done
  (( \${#described} )) && _describe -t values value described
}
compdef _livedev livedev livedevd
`,
  fish: `# livedev's completion for fish: livedev completion fish | source, in ~/.config/fish/config.fish
function __livedev_complete
  set -l words (commandline -opc)
  set -l current (commandline -ct)
  set -l found ($words[1] __complete -- $words[2..-1] "$current" 2>/dev/null)
  if test "$found" = ":files"
    __fish_complete_path "$current"
  else
    printf '%s\\n' $found
  end
end
complete -c livedev -f -a '(__livedev_complete)'
complete -c livedevd -f -a '(__livedev_complete)'
`,
} as const;
