#!/usr/bin/env bash
# Run the model once: check.sh NAME SWITCH=VALUE ...   The switches stand at the head of login.pml; what is not named is
# as built, one process, nothing shared, and nothing that may happen but another site's start. T: seconds it may take.
# Prints HOLDS, TRACE and the trace, or UNDECIDED. Needs spin and a C compiler (`CC=tcc` compiles in a blink), and up to
# MEMORY megabytes for the largest runs.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
name=$1
shift
declare -A switches=(
  [MODE]=1 [X]=0 [NP]=1 [SH]=0 [ISH]=0 [L0]=0 [NL]=2 [N]=2
  [CLICK]=0 [MAIL]=0 [XSTART]=1 [SILENT]=0 [RACE]=0 [FLOOD]=0 [FRAME]=0 [COPY]=0 [ASYNC]=0
  [R1]=2 [R2]=2 [R3]=4 [R4]=3 [R5]=1 [NEXT]=1 [BACK]=3 [ENDS]=1 [PAIR]=1 [EXACT]=1
  [CLAIM]=1 [TRIES]=0 [LOST]=9 [POLLS]=9 [CAUSE]=0 [LEAN]=0
)
for pair in "$@"; do switches[${pair%%=*}]=${pair#*=}; done
flags=()
for switch in "${!switches[@]}"; do flags+=("-D$switch=${switches[$switch]}"); done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
cp "$here/login.pml" .
spin "${flags[@]}" -a login.pml >spin.out 2>&1 || { echo "$name: SPIN: $(head -3 spin.out)" >&2; exit 2; }
# Breadth first, so that a trace is a shortest one; unoptimised, because one function holds it all and gcc takes minutes.
"${CC:-gcc}" -O0 -w "-DMEMLIM=${MEMORY:-7000}" -DVECTORSZ=2048 -DNOFAIR -DBFS -DSAFETY -DNOREDUCE -o pan pan.c || exit 2
timeout "${T:-60}" ./pan -E -m100000 -w24 >pan.out 2>&1
states=$(awk '/states, stored/ { print $1 }' pan.out)
if [[ -f login.pml.trail ]]; then
  result=TRACE
elif grep -q 'errors: 0' pan.out && ! grep -q 'MEMLIM\|out of memory' pan.out; then
  result=HOLDS
else
  result=UNDECIDED
fi
echo "$name [$*]: $result states=${states:-}"
if [[ $result == TRACE ]]; then
  # Replayed with the same switches; `@` marks what the model tells.
  spin "${flags[@]}" -t login.pml 2>&1 | sed -n 's/^ *@/   /p'
fi
