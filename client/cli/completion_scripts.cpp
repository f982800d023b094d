// The scripts for shells. All of them ask `zgrid __complete -- WORD…`, whose answer is described in
// completion_live.cpp, so that they know nothing of zgrid.
#include "client/cli/completion.h"

namespace zgrid::cli {
namespace {

// Bash splits words at = and : too, and replaces only what follows the last of them.
constexpr const char* kBash = R"script(# bash completion for zgrid
_zgrid() {
  local line=${COMP_LINE:0:COMP_POINT} word i
  local -a words=()
  # COMP_WORDS are pieces; those with no blank between them are one word.
  for ((i = 0; i <= COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    local rest=${line#"${line%%[![:blank:]]*}"}
    if ((i > 0)) && [[ $rest == "$line" && -n $line ]]; then
      words[${#words[@]} - 1]+=$word
    else
      words+=("$word")
    fi
    line=${rest#"$word"}
  done
  local current=${words[${#words[@]} - 1]} piece=${COMP_WORDS[COMP_CWORD]}
  [[ $piece == [:=@] ]] && piece=
  local kept=${current%"$piece"}
  kept=${kept%@}  # which it splits at, but replaces

  local answer help
  COMPREPLY=()
  while IFS=$'\t' read -r answer help; do
    case $answer in
      :files | :folders)
        local kind=-f
        [[ $answer == :folders ]] && kind=-d
        [[ -z $help ]] && compopt -o filenames 2>/dev/null
        while IFS= read -r word; do
          if [[ -n $help ]]; then  # then it is no name of a file for readline
            local slash=
            [[ -d $word ]] && slash=/ && compopt -o nospace 2>/dev/null
            printf -v word %s%q%s "$help" "$word" "$slash"
          fi
          COMPREPLY+=("${word#"$kept"}")
        done < <(compgen "$kind" -- "${current#"$help"}")
        ;;
      *)
        COMPREPLY+=("${answer#"$kept"}")
        [[ $answer == *[:=/] ]] && compopt -o nospace 2>/dev/null
        ;;
    esac
  done < <("${1/#\~/$HOME}" __complete -- "${words[@]:1}" 2>/dev/null)
}
complete -F _zgrid zgrid)script";

constexpr const char* kZsh = R"script(#compdef zgrid
_zgrid() {
  local line answer help width=0
  local -a plain plain_help open
  for line in "${(@f)$("${(Q)words[1]/#\~/$HOME}" __complete -- "${(@Q)words[2,CURRENT-1]}" \
      "${(Q)PREFIX}" 2>/dev/null)}"; do
    answer=${line%%$'\t'*}
    help=${line#*$'\t'}
    case $answer in
      '') ;;
      :files) compset -p ${#help}; _files ;;
      :folders) compset -p ${#help}; _files -/ ;;
      *[:=/]) open+=("$answer") ;;
      *) plain+=("$answer"); plain_help+=("$help")
         ((${#answer} > width)) && width=${#answer} ;;
    esac
  done
  local i
  for ((i = 1; i <= ${#plain}; i++)); do
    plain_help[i]="${(r:width:)plain[i]}  ${plain_help[i]}"
  done
  ((${#open})) && compadd -S '' -a open
  ((${#plain})) && compadd -V zgrid -l -d plain_help -a plain
  return 0
}
if [[ ${funcstack[1]} == _zgrid ]]; then
  _zgrid "$@"
else
  compdef _zgrid zgrid
fi)script";

constexpr const char* kFish = R"script(# fish completion for zgrid
function __zgrid_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l program $words[1]
    set -e words[1]
    for line in ($program __complete -- $words "$current" 2>/dev/null)
        set -l parts (string split -m 1 \t -- $line)
        switch $parts[1]
            case :files :folders
                set -l start (math (string length -- "$parts[2]") + 1)
                set -l path (string sub -s $start -- "$current")
                if test $parts[1] = :folders
                    printf "$parts[2]%s\n" (__fish_complete_directories "$path")
                else
                    printf "$parts[2]%s\n" (__fish_complete_path "$path")
                end
            case '*'
                printf '%s\n' $line
        end
    end
end
complete -c zgrid -e
complete -c zgrid -f -k -a '(__zgrid_complete)')script";

}  // namespace

std::string completion_script(Shell shell) {
  switch (shell) {
    case Shell::bash: return kBash;
    case Shell::zsh: return kZsh;
    case Shell::fish: return kFish;
  }
  return {};
}

}  // namespace zgrid::cli
