# What .ci/run and .ci/nightly share: sourced with the current folder at the top of the checkout.
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

step() { # step WORDS COMMAND...: run it, and say how long it took
  local words=$1 begin=$SECONDS
  shift
  echo "== $words"
  "$@"
  echo "== $words: $((SECONDS - begin)) s"
}

environment() { # environment PYTHON NAME REQUIREMENT...: a virtual environment
  "$1" -m venv "$root/$2"
  "$root/$2/bin/python" -m pip install --quiet "${@:3}"
}

copy_checkout() { # a copy, so that nothing lands in this one
  mkdir "$root/checkout"
  git ls-files -z --cached --others --exclude-standard | xargs -0 -I{} cp --parents {} "$root/checkout"
}

coq_packages() { # coqc and MathComp's algebra: there, or installed from Debian's packages (340 MB) as root or with sudo that does not ask
  local packages=(coq libcoq-mathcomp-algebra libcoq-mathcomp-algebra-tactics libcoq-mathcomp-zify) run=()
  ! command -v coqc >/dev/null || return 0
  command -v apt-get >/dev/null || return 1
  [ "$(id -u)" = 0 ] || { sudo -n true 2>/dev/null && run=(sudo -n); } || return 1
  "${run[@]}" apt-get update -qq &&
    "${run[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
}

by_room() { # by_room NAME: what the tests that just ran in that environment covered, room by room
  (cd "$root/checkout" && "$root/$1/bin/coverage" json --quiet -o "$root/coverage.json")
  python3 .ci/rooms.py "$root/coverage.json"
}
