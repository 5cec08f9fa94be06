/* The login by sign-token when things fail: time passes, processes and stores forget, XWMS or the store is out of reach,
 * several calls are under way.  SPIN 6.5; `check.sh` runs it, `table.py` runs all.  `login.pml` has what is left out
 * here: frames, copies of cookies that A hides, evictions, what a claim costs honest people.
 *
 * Each request is a chain of steps as in `finish_login`, one for each question to the store or to XWMS, and whatever
 * else may happen may happen between two of them.  Browsers A (the attacker's) and V (the victim's) are as in login.pml.
 *
 * The world
 *  MODE    1 same, 2 fresh, 3 either         X  XWMS sends back 0 sign-token's token, 1 a new one, 2 a new one, both work
 *  NP      processes       SH  1: they share a store       L0  1: they have learned that the tokens are the same
 *  TL      at XWMS a token lives 0 as long as its login here, 1 at most an hour, 2 longer
 *  TOLD    1: and XWMS says how long in `expires_at`
 * What may happen
 *  JOBS    requests under way at once       CLICK  1: V starts logins on the site
 *  RACE    1: A may act between V's approval and arrival; 2: the same, but V approves after ten minutes only
 *  FLOOD   1: the budget for spending may be used up
 *  AGE     1: logins expire, ten minutes after their start; 2: and what is remembered of tokens lapses after an hour
 *  RESTART processes that lose their memory, so often; MIDST  1: in the middle of requests too
 *  LOSS    1: the shared store loses its data, once
 *  DOWN    calls to XWMS that fail, so often: not sent, refused to be served, or sent with an unknown outcome
 *  SDOWN   1: the store is out of reach for a while, once
 *  PATIENT 1: A brings no token home before what waits to be spent has been spent
 * The rules: the last value that is named is what is built
 *  LATE    1 a login counts however old; 0 for ten minutes
 *  AGAIN   0 whether a token is foreign is looked up before XWMS is asked; 1 and once more before the session begins
 *  LOOKUP  0 `either` spends nothing if the store cannot say whether it was issued; 1 what is not exactly its own
 *  FALL    0 nothing is spent while the store is down; 1 all the same
 *  STAYS   0 "issued" lapses after an hour; 1 not before the end of the token that XWMS has told
 *  WAITS   0 a token that could not be spent is forgotten; 1 kept, and sent when XWMS answers
 *  MARK    0 a foreign token is not marked; 1 in the process; 2 and in the store, if it was issued
 *  TRY     0 tokens are not claimed; 1 they are
 *  KEPT    0 a call with an unknown outcome gives the try back; 1 only one that was not sent
 * The claims
 *  CLAIM   0 the next two; 1 V is never in A's session; 2 A is never in V's; 3 no token is sent twice to be redeemed
 */
#define NL 2
#if X
#define NT (NL + NL)    /* tokens: sign-token's 0..NL-1, new ones NL..NT-1 */
#else
#define NT NL
#endif
#define A 1
#define V 2
#define NOT 255
#define LOGIN(n) ((n) % NL)

byte by[NL], age[NL], started, good[NT], flying = NOT;
bit here[NL], alive[NL], asked[NL];     /* alive: V has the cookie; A never loses one */
bit gone[NT], known[NT], went[NT];      /* gone: used up at XWMS, or too old; known: to A; went: it was sent to be redeemed */
/* The store, or what a process without one has in its place. */
#define AT(p, n) ((SH -> 0 : (p)) * NT + (n))
#define LG(p, l) ((SH -> 0 : (p)) * NL + (l))
#define PR(p, l, n) (LG(p, l) * NT + (n))
bit issued[NP * NT], tried[NP * NT], foreign[NP * NT], confirmed[NP * NT], used[NP * NL], pair[NP * NL * NT];
bit same[NP];
/* The process's own. */
#define MY(p, n) ((p) * NT + (n))
bit marked[NP * NT], waits[NP * NT], seen[NP];
/* Requests under way: browser, token, login that it is matched to, process, next step. */
byte jb[JOBS], jn[JOBS], jl[JOBS], jp[JOBS], step[JOBS], hot = NOT;
#define IDLE 0
#define CLAIM_PAIR 1
#define CLAIM_LOGIN 2
#define CLAIM_TOKEN 3
#define LOOK 4
#define SEND 5          /* the call is made: from here to XWMS and back it may take any time */
#define GOOD 6
#define BAD 7
#define LOST 8
#define UNSENT 9
#define BEGIN 10
#define MARKING 11
#define REMEMBER 12
#define SPEND 13
#define SPENT 14
#define REFUSED 15
#define LATER 16
byte restarts, downs, waiting;
bit lost, sdown, sdone;

#define EXACT(j) (jl[j] == jn[j])
#define OURS(j) (EXACT(j) || MODE == 2)
#define YOUNG(l) (!age[l] || LATE)
#define FOREIGN(p, n) (foreign[AT(p, n)] || marked[MY(p, n)] || waits[MY(p, n)])
#define SAMEP(p) (MODE == 1 || (MODE == 3 && (seen[p] || same[(SH -> 0 : (p))])))

inline which(p) { p = 0; if :: true :: NP > 1 && started > 0 -> p = NP - 1 fi }
inline pick(x, n) { x = 0; do :: x < n - 1 -> x++ :: break od }
inline over(j) { jb[j] = 0; jn[j] = 0; jl[j] = 0; jp[j] = 0; step[j] = IDLE; if :: hot == j -> hot = NOT :: else fi }
inline foreign_to(j) { jl[j] = NOT; step[j] = MARKING }     /* what was tried with a login does not end it */
inline kill(l) { if :: l != NOT && by[l] == V -> alive[l] = 0 :: else fi }

inline start(b, h) {
    which(p);
    if
    :: sdown || (b == V && !SAMEP(p) && !(h)) -> skip
    :: else ->
        by[started] = b; here[started] = (h) && MODE != 1; issued[AT(p, started)] = 1;
        if :: b == V -> alive[started] = 1 :: else -> known[started] = 1 fi;
        printf("@ browser %d starts login %d at process %d, here=%d\n", b, started, p, (h));
        started++
    fi; p = 0
}

/* A request comes: whose login the token is. A chooses which of its cookies it sends. */
inline arrive(j, b, n) {
    which(p); own = NOT; any = 0; i = 0;
    do
    :: i < started ->
        if :: by[i] == b && (b == A || alive[i]) && YOUNG(i) ->
            any = 1;
            if
            :: i == n -> own = i
            :: i != n && own != n && !(own != NOT && here[own] && !here[i] && b == V) && MODE != 1 -> own = i
            :: b == A -> skip
            :: else
            fi
        :: else
        fi; i++
    :: else -> break
    od;
    printf("@ browser %d opens the callback with token %d at process %d, login %d\n", b, n, p, own);
    jb[j] = b; jn[j] = n; jp[j] = p; jl[j] = own;
    if
    :: own == NOT -> step[j] = MARKING
    :: own == n && MODE == 2 -> kill(own); over(j)
    :: own == n && MODE != 2 -> step[j] = CLAIM_PAIR
    :: else ->
        if
        :: sdown && !(LOOKUP && MODE == 3) -> printf("@   the store is down\n"); over(j)
        :: (sdown && LOOKUP && MODE == 3) || (!sdown && issued[AT(p, n)]) -> step[j] = MARKING
        :: else -> step[j] = CLAIM_PAIR
        fi
    fi;
    own = NOT; any = 0; i = 0; p = 0
}

inline begin(j) {
    if
    :: (AGAIN && FOREIGN(jp[j], jn[j])) || sdown -> printf("@   no session: %d\n", sdown)
    :: else ->
        if
        :: !EXACT(j) && jb[j] == V && good[jn[j]] == A && (SAMEP(jp[j]) || !here[jl[j]]) ->
            printf("@   V is shown whom they would be, and leaves\n")
        :: else ->
            printf("@   browser %d now has the session of person %d\n", jb[j], good[jn[j]]);
            assert(CLAIM > 1 || !(jb[j] == V && good[jn[j]] == A));
            assert((CLAIM && CLAIM != 2) || !(jb[j] == A && good[jn[j]] == V))
        fi
    fi
}

/* What XWMS does with a token; failing calls differ in whether it was done. */
inline xwms(n, ok) { ok = (good[n] != 0 && !gone[n]); if :: ok -> gone[n] = 1 :: else fi }

inline ask(j, yes, no, unknown, unsent) {
    if
    :: xwms(jn[j], ok); step[j] = (ok -> yes : no); printf("@   XWMS is asked about token %d: %d\n", jn[j], ok)
    :: downs < DOWN -> downs++; step[j] = unsent; printf("@   the call about token %d does not leave\n", jn[j])
    :: downs < DOWN -> downs++; step[j] = unknown; printf("@   the call about token %d gets no answer\n", jn[j])
    :: downs < DOWN -> downs++; xwms(jn[j], ok); step[j] = unknown; printf("@   the answer about token %d is lost: %d\n", jn[j], ok)
    fi;
    ok = 0; if :: hot == j -> hot = NOT :: else fi
}

#define P jp[j]
#define T jn[j]
inline go(j) {
    if
    :: step[j] == CLAIM_PAIR ->
        if
        :: sdown -> over(j)
        :: !sdown && pair[PR(P, jl[j], T)] && OURS(j) -> printf("@   a copy\n"); over(j)
        :: !sdown && pair[PR(P, jl[j], T)] && !OURS(j) -> foreign_to(j)
        :: else -> pair[PR(P, jl[j], T)] = 1; step[j] = CLAIM_LOGIN
        fi
    :: step[j] == CLAIM_LOGIN ->
        if
        :: sdown -> over(j)
        :: !sdown && used[LG(P, jl[j])] -> pair[PR(P, jl[j], T)] = 0; foreign_to(j)
        :: else -> used[LG(P, jl[j])] = 1; step[j] = CLAIM_TOKEN
        fi
    :: step[j] == CLAIM_TOKEN ->
        if
        :: sdown -> over(j)
        :: !sdown && tried[AT(P, T)] && TRY -> used[LG(P, jl[j])] = 0; pair[PR(P, jl[j], T)] = 0; foreign_to(j)
        :: else -> tried[AT(P, T)] = 1; step[j] = LOOK
        fi
    :: step[j] == LOOK ->
        if
        :: sdown -> over(j)
        :: !sdown && FOREIGN(P, T) -> used[LG(P, jl[j])] = 0; pair[PR(P, jl[j], T)] = 0; foreign_to(j)
        :: else -> step[j] = SEND
        fi
    :: step[j] == SEND ->
        if :: CLAIM == 3 -> assert(!went[T]) :: else fi;
        ask(j, GOOD, BAD, LOST, UNSENT);
        if :: CLAIM == 3 && step[j] != UNSENT -> went[T] = 1 :: else fi
    :: step[j] == GOOD ->
        if :: !sdown -> confirmed[AT(P, T)] = 1 :: else fi;
        if :: EXACT(j) && MODE == 3 -> seen[P] = 1; if :: !sdown -> same[(SH -> 0 : P)] = 1 :: else fi :: else fi;
        kill(jl[j]); step[j] = BEGIN
    :: step[j] == BEGIN -> begin(j); over(j)
    :: step[j] == BAD ->
        if :: EXACT(j) -> kill(jl[j]) :: !EXACT(j) && !sdown -> used[LG(P, jl[j])] = 0; pair[PR(P, jl[j], T)] = 0 :: else fi; over(j)
    :: step[j] == UNSENT || (step[j] == LOST && !KEPT) ->
        if :: !sdown -> used[LG(P, jl[j])] = 0; pair[PR(P, jl[j], T)] = 0; tried[AT(P, T)] = 0 :: else fi; over(j)
    :: step[j] == LOST && KEPT -> kill(jl[j]); over(j)
    :: step[j] == MARKING ->
        if :: MARK -> marked[MY(P, T)] = 1 :: else fi;
        if
        :: sdown && !FALL -> over(j)
        :: !sdown && issued[AT(P, T)] && MARK == 2 -> step[j] = REMEMBER
        :: !sdown && confirmed[AT(P, T)] -> over(j)
        :: FLOOD && (sdown || !issued[AT(P, T)]) -> printf("@   not spent: over budget\n"); over(j)
        :: !(sdown && !FALL) && !(!sdown && (confirmed[AT(P, T)] || (issued[AT(P, T)] && MARK == 2))) -> step[j] = SPEND
        fi
    :: step[j] == REMEMBER ->
        if :: !sdown -> foreign[AT(P, T)] = 1 :: else fi;
        if :: !sdown && confirmed[AT(P, T)] -> over(j) :: else -> step[j] = SPEND fi
    :: step[j] == SPEND -> ask(j, SPENT, REFUSED, LATER, LATER)
    :: step[j] == SPENT ->
        if :: !sdown -> confirmed[AT(P, T)] = 1 :: else fi; waits[MY(P, T)] = 0;
        printf("@   token %d is spent\n", T); kill(jl[j]); over(j)
    :: step[j] == REFUSED -> waits[MY(P, T)] = 0; over(j)
    :: step[j] == LATER -> if :: WAITS -> waits[MY(P, T)] = 1 :: else fi; over(j)
    fi
}
#define CALLING(j) (step[j] == SEND || step[j] == SPEND)
#define ALL_SPENT (!waiting)

inline approve(b, t) {
    asked[t] = 1; c = t + (X -> NL : 0); good[c] = b;
    if :: X > 1 -> good[t] = b :: else fi;
    printf("@ person %d approves login %d in their browser: token %d is good\n", b, t, c)
}

/* What the store, or a process in its place, forgets. */
inline forget(p) {
    i = 0; do :: i < NT -> issued[AT(p, i)] = 0; tried[AT(p, i)] = 0; foreign[AT(p, i)] = 0; confirmed[AT(p, i)] = 0;
        k = 0; do :: k < NL -> pair[PR(p, k, i)] = 0; used[LG(p, k)] = 0; k++ :: else -> break od; k = 0; i++ :: else -> break od;
    same[(SH -> 0 : p)] = 0; i = 0
}
inline seat(j) { j = 0; if :: step[0] != IDLE && JOBS > 1 -> j = JOBS - 1 :: else fi }     /* a free place, or one that is not */

inline older(t) {
    age[t]++;
    printf("@ login %d is older: %d\n", t, age[t]);
    if :: age[t] == TL + 1 -> gone[t] = 1; gone[t + NT - NL] = 1 :: else fi;
    if
    :: age[t] == 2 ->
        p = 0;
        do
        :: p < NP ->
            if :: !(STAYS && TOLD && !gone[t]) -> issued[AT(p, t)] = 0 :: else fi;
            used[LG(p, t)] = 0; k = 0; do :: k < NT -> pair[PR(p, t, k)] = 0; k++ :: else -> break od;
            if
            :: true     /* claimed later */
            :: tried[AT(p, t)] = 0; foreign[AT(p, t)] = 0; confirmed[AT(p, t)] = 0; marked[MY(p, t)] = 0; waits[MY(p, t)] = 0;
                k = t + NT - NL;
                tried[AT(p, k)] = 0; foreign[AT(p, k)] = 0; confirmed[AT(p, k)] = 0; marked[MY(p, k)] = 0; waits[MY(p, k)] = 0
            fi; k = 0; p++
        :: else -> break
        od
    :: else
    fi; k = 0; p = 0
}

init {
    byte p, i, k, j, t, c, own = NOT; bit any, ok;
    if :: L0 -> seen[0] = 1; seen[NP - 1] = 1; same[0] = 1; same[NP - 1] = 1 :: else fi;
    do
    :: atomic { started < NL -> start(A, 1) }
    :: atomic { started < NL -> start(V, 0) }
    :: atomic { started < NL && CLICK -> start(V, 1) }
    :: atomic { started > 0 -> pick(t, started); if :: by[t] == A && !asked[t] -> approve(A, t); known[c] = 1 :: else fi; t = 0; c = 0 }
    /* A's tokens come, to A and to V. */
    :: atomic { started > 0 -> seat(j); pick(c, NT); if :: known[c] && step[j] == IDLE -> arrive(j, A, c) :: else fi; j = 0; c = 0 }
    :: atomic { started > 0 -> seat(j); pick(c, NT); if :: known[c] && step[j] == IDLE -> arrive(j, V, c) :: else fi; j = 0; c = 0 }
    /* V approves, whoever's login it is, and comes home. */
    :: atomic { started > 0 && flying == NOT && hot == NOT -> seat(j); pick(t, started);
        if :: !asked[t] && step[j] == IDLE && (RACE < 2 || age[t]) -> approve(V, t); if :: RACE -> flying = c :: else -> hot = j; arrive(j, V, c) fi :: else fi; j = 0; t = 0; c = 0 }
    :: atomic { flying != NOT -> seat(j); if :: step[j] == IDLE -> c = flying; flying = NOT; arrive(j, V, c) :: else fi; j = 0; c = 0 }
    /* Requests under way; nobody's call is quicker than that of a victim who comes home. */
    :: atomic { pick(j, JOBS);
        do
        :: step[j] != IDLE && !(CALLING(j) && hot != NOT && hot != j) && !(PATIENT && step[j] == SEND && jb[j] == A && waiting) ->
            go(j);
            if :: JOBS > 1 || CALLING(j) || (MIDST && step[j] != IDLE) -> break :: else fi
        :: else -> break
        od;
        waiting = 0; i = 0; do :: i < NP * NT -> waiting = waiting + waits[i]; i++ :: else -> break od; i = 0; j = 0 }
    /* What waits is spent when XWMS answers again. */
    :: atomic { waiting -> pick(p, NP); pick(c, NT);
        if :: waits[MY(p, c)] -> waits[MY(p, c)] = 0; waiting--; xwms(c, ok); printf("@ process %d spends token %d now: %d\n", p, c, ok);
            if :: ok && !sdown -> confirmed[AT(p, c)] = 1 :: else fi
        :: else fi; p = 0; c = 0; ok = 0 }
    :: atomic { AGE && started > 0 -> pick(t, started); if :: age[t] < AGE -> older(t) :: else fi; t = 0;
        waiting = 0; i = 0; do :: i < NP * NT -> waiting = waiting + waits[i]; i++ :: else -> break od; i = 0 }
    :: atomic { restarts < RESTART && started > 0 -> pick(p, NP);
        j = 0; ok = 1;
        do
        :: j < JOBS -> if :: step[j] != IDLE && jp[j] == p -> if :: MIDST -> over(j) :: else -> ok = 0 fi :: else fi; j++
        :: else -> break
        od;
        if :: ok -> restarts++; printf("@ process %d starts anew\n", p); seen[p] = 0;
            i = 0; do :: i < NT -> marked[MY(p, i)] = 0; waits[MY(p, i)] = 0; i++ :: else -> break od;
            if :: !SH -> forget(p) :: else fi
        :: else fi;
        waiting = 0; i = 0; do :: i < NP * NT -> waiting = waiting + waits[i]; i++ :: else -> break od; i = 0; j = 0; p = 0; ok = 0 }
    :: atomic { LOSS && SH && !lost && started > 0 -> lost = 1; printf("@ the store loses its data\n"); forget(0) }
    :: atomic { SDOWN && SH && !sdown && !sdone && started > 0 -> sdown = 1; printf("@ the store is out of reach\n") }
    :: atomic { sdown -> sdown = 0; sdone = 1; printf("@ the store is back\n") }
    od
}
