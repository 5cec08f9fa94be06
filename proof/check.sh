#!/usr/bin/env bash
# Run a model once: check.sh NAME [MODEL.pml] SWITCH=VALUE ...   The switches stand at the head of each model; what is
# not named is as built, one process, nothing shared, and nothing that may happen but another site's start. T: seconds of
# a processor that a search may take. Prints HOLDS, TRACE and a shortest trace (none with TELL=0), or UNDECIDED. Needs spin and a C compiler, tcc if
# it is there, which compiles in a blink, and up to MEMORY megabytes.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
name=$1 model=login.pml
shift
if [[ ${1:-} == *.pml ]]; then model=$1 && shift; fi
case $model in
login.pml) built="MODE=1 X=0 NP=1 SH=0 ISH=0 L0=0 NL=2 N=2
  CLICK=0 MAIL=0 XSTART=1 SILENT=0 RACE=0 FLOOD=0 FRAME=0 COPY=0 ASYNC=0
  R1=2 R2=2 R3=4 R4=3 R5=1 NEXT=1 BACK=3 ENDS=1 PAIR=1 EXACT=1
  CLAIM=1 TRIES=0 LOST=9 POLLS=9 CAUSE=0 LEAN=0" ;;
faults.pml) built="MODE=1 X=0 NP=1 SH=0 L0=0 TL=0 TOLD=0
  JOBS=1 CLICK=0 RACE=0 FLOOD=0 AGE=0 RESTART=0 MIDST=0 LOSS=0 DOWN=0 SDOWN=0 PATIENT=0
  LATE=0 AGAIN=1 LOOKUP=1 FALL=1 STAYS=1 WAITS=1 MARK=2 TRY=1 KEPT=1 CLAIM=0" ;;
oauth.pml) built="OPENID=1 ASPKCE=2 HISS=1 EVIL=0 LOOSE=0 NP=1 SH=0 NL=2
  LEAK=0 SEEN=0 COPY=0 JOBS=1 AGE=0 RESTART=0 DOWN=0
  STATE=1 BIND=1 PKCE=1 NONCE=1 URI=1 ISS=1 SEP=1 SUB=1 ONCE=1 KEPT=1 LATE=0 CLAIM=0" ;;
*) echo "no such model: $model" >&2; exit 2 ;;
esac
declare -A switches
for pair in $built "$@"; do switches[${pair%%=*}]=${pair#*=}; done
flags=()
for switch in "${!switches[@]}"; do flags+=("-D$switch=${switches[$switch]}"); done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
cp "$here/$model" .
spin "${flags[@]}" -a "$model" >spin.out 2>&1 || { echo "$name: SPIN: $(head -3 spin.out)" >&2; exit 2; }
CC=${CC:-$(command -v tcc || echo gcc)}
build() { "$CC" -O0 -w "-DMEMLIM=${MEMORY:-5000}" -DVECTORSZ=2048 -DNOFAIR -DSAFETY -DNOREDUCE "$@" -o pan pan.c || exit 2; }
# Depth first, because SPIN then stores no state within an atomic sequence: a fiftieth of them. Unoptimised, because one
# function holds it all and gcc takes minutes.
build
(ulimit -t "${T:-60}" && exec ./pan -E -m2000000 -w22) >pan.out 2>&1
states=$(awk '/states, stored/ { print $1 }' pan.out)
if [[ -f $model.trail ]]; then
  result=TRACE
elif grep -q 'errors: 0' pan.out && ! grep -q 'MEMLIM\|out of memory\|search depth too small' pan.out; then
  result=HOLDS
else
  result=UNDECIDED
fi
echo "$name [$*]: $result states=${states:-}"
if [[ $result == TRACE && ${TELL:-1} == 1 ]]; then
  # Once more breadth first, whose trace is a shortest one; replayed with the same switches. `@` marks what is told.
  build -DBFS
  (ulimit -t "${T:-60}" && exec ./pan -E -w24) >pan.out 2>&1
  spin "${flags[@]}" -t "$model" 2>&1 | sed -n 's/^ *@/   /p'
fi
