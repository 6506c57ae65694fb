# shellcheck shell=sh
# What is on a machine, label by label: `=== LABEL`, then its lines behind `|`, then `+` when they
# are all there, `-` when there is no such thing, or `!` and why it cannot be read.

digest() {
  if command -v sha256sum >/dev/null 2>&1; then sha256sum
  elif command -v shasum >/dev/null 2>&1; then shasum -a 256
  else openssl dgst -sha256 -r; fi | cut -c1-12
}

quoted() { awk '{ print "|" $0 }'; }

# Names with the digests of their values: what they are never leaves the machine.
values() {
  while IFS= read -r line || [ -n "$line" ]; do
    case $line in
      '' | '#'*) continue ;;
      *=*) name=${line%%=*} ;;
      *) name='a line' ;;
    esac
    printf '%s is #%s\n' "$name" "$(printf '%s' "$line" | digest)"
  done
}

# Whether a file can be read; says what stands in its way.
readable() {
  if [ -f "$1" ] && [ -r "$1" ]; then return 0; fi
  said=$(LC_ALL=C ls -d "$1" 2>&1) && said='it is no file, or may not be read'
  case $said in
    *'No such file'*) echo '-' ;;
    *) echo "!$said" ;;
  esac
  return 1
}

file_of() {
  echo "=== file $1"
  readable "$1" || return 0
  if [ "$(wc -c < "$1")" -gt "${most:=16384}" ]; then
    echo "|sha256 $(digest < "$1"), $(wc -c < "$1") bytes"
  else
    quoted < "$1"
  fi
  echo +
}

env_of() {
  echo "=== env $1"
  readable "$1" || return 0
  values < "$1" | quoted
  echo +
}

package_of() {
  echo "=== package $1"
  if command -v dpkg-query >/dev/null 2>&1; then
    said=$(LC_ALL=C dpkg-query -W -f='${db:Status-Status} ${Version} ${Architecture}\n' -- "$1" 2>&1)
  elif command -v rpm >/dev/null 2>&1; then
    said=$(LC_ALL=C rpm -q --qf '%{VERSION}-%{RELEASE} %{ARCH}\n' -- "$1" 2>&1)
  else
    echo '!neither dpkg-query nor rpm is there'
    return 0
  fi && { printf '%s\n' "$said" | quoted; echo +; return 0; }
  case $said in
    *'no packages found matching'* | *'is not installed'*) echo '-' ;;
    *) echo "!$said" ;;
  esac
}

fact_of() {
  echo "=== fact $1"
  if said=$(sh -ec "$2" 2>/dev/null); then printf '%s\n' "$said" | quoted; echo +
  else echo "!its command exits $?"; fi
}

# Sets `said` to what a command answers, or to why it does not; what it warns of is no answer.
answer() { said=$("$@" 2>/dev/null) || { said=$("$@" 2>&1 >/dev/null) || :; false; }; }

checkout_of() {
  echo '=== commit'
  if ! [ -e "$1" ]; then echo '-'; echo '=== changed'; echo '-'; return 0; fi
  if answer git -C "$1" rev-parse --verify HEAD; then printf '%s\n' "$said" | quoted; echo +
  else echo "!$said"; fi
  echo '=== changed'
  if answer git --no-optional-locks -C "$1" status --porcelain --untracked-files=no; then
    [ -z "$said" ] || printf '%s\n' "$said" | quoted
    echo +
  else echo "!$said"; fi
  echo '=== diff'
  git --no-optional-locks -C "$1" diff --no-ext-diff --no-color HEAD 2>/dev/null | head -c 4000 | quoted
  echo +
}

release_of() {
  echo '=== commit'
  if ! [ -e "$1" ]; then echo '-'; return 0; fi
  if said=$(readlink "$1/current"); then said=${said##*/}; echo "|${said#*-}"; echo +
  else echo '!there is no link current'; fi
}
