/* The login by sign-token, with somebody who wants it to go wrong.  SPIN 6.5; `check.sh` runs it, `table.py` runs all.
 *
 * Two browsers.  A is the attacker's: it sends whichever of its cookies it likes and never loses one.  V is the
 * victim's: it obeys the rules of browsers.  One app in one process or two, and XWMS, which makes a token good when a
 * person approves and takes it once.
 *
 * The world
 *  MODE    1 same, 2 fresh, 3 either: what the app was told about the callback's token (callback_token)
 *  X       what XWMS does: 0 sends sign-token's token back, 1 a new one, 2 a new one but sign-token's works too,
 *          3 as 2 but redeeming one redeems both
 *  NP      processes          SH   1: they share a store       ISH  1: and in it, which tokens were issued
 *  L0      1: every process has learned already that the tokens are the same
 * What may happen
 *  CLICK   1: V starts logins on the app's own page, or clicks "Continue" there; 2: once only
 *  MAIL    1: V opens the login's address from outside the browser (Sec-Fetch-Site: none)
 *  XSTART  1: another site opens the login in V
 *  SILENT  1: another site opens the app's own page in V, whose script goes to the login; 2: whose script posts the form
 *  RACE    1: A may act between V's approval and V's arrival at the callback
 *  FLOOD   1: the budget for spending may be used up
 *  FRAME   1: V may come back in a frame
 *  COPY    1: V's callback comes twice
 *  ASYNC   1: a call to XWMS may be under way while other things happen; 2: only its refusal of what nobody approved yet
 * The rules (the last value that is named is what is built)
 *  R1  0 a token that was tried here is not spent; 1 whoever redeems or spends claims the token, and gives it back if
 *      XWMS refuses; 3 as 2, but the try of redeeming is given back; 4 as 2, but a copy of one's own callback is not
 *      recognised; 2 a foreign token is always sent to XWMS unless known to be confirmed; one try of redeeming for each
 *  R2  what a frame brings: 0 is only marked; 1 is spent if it matches no login; 2 is spent unless it is exactly ours
 *  R3  0 nothing is learned; 1 `either` refuses what does not match once it has learned, and unlearns; 2 the same, and
 *      never learns again; 3 the same, but only a token that would have been matched to a login unlearns; 4 what does
 *      not match shows whom one is about to be, nothing unlearns
 *  R4  0 an unknown token ends all pending logins, the oldest is evicted; 1 the oldest begun elsewhere is evicted first;
 *      2 a start from elsewhere never evicts one's own; 3 as 2, and what XWMS refuses ends no login but its exact one
 *  R5  0 same-origin is enough to count as begun here; 1 only with a person's click, a form of ours or a typed address
 *  NEXT  1: where the newest login that began here is claimed by another token, the next newest is tried
 *  BACK  a refused token that was not exactly a login's gives the login back at most so often
 *  ENDS  1: a foreign token that XWMS confirms ends the login of that browser to which it would have been matched, but
 *        none with which it was tried
 *  PAIR  1: login and token are first claimed together, and this claim stays; taken means a copy, refused quietly
 *  EXACT 1: only a copy of the login's exact token is a copy (with `fresh`: any); another is foreign
 * The claims
 *  CLAIM 0 the next two; 1 V is never in A's session; 2 A is never in V's; 3 when A stops, V is let in within TRIES tries; 4 V lost
 *        fewer than LOST logins to what was learned; 5 A had at most POLLS tries at a token before it was approved;
 *        6 V's right token is never denied for the reason CAUSE (1 its login was ended by another token, 2 it was
 *        evicted, 3 learned same, 4 other, 5 its own copy)
 *  LEAN  1: A and V each mind their own logins, for counting only
 */
#ifndef NL
#define NL 2            /* logins that are ever started */
#endif
#ifndef N
#define N 2             /* pending logins that a browser keeps */
#endif
#ifndef L0
#define L0 0
#endif
#ifndef LEAN
#define LEAN 0
#endif
#ifndef TRIES
#define TRIES 0
#endif
#ifndef NEXT
#define NEXT 0
#endif
#ifndef BACK
#define BACK 9
#endif
#ifndef ENDS
#define ENDS 0
#endif
#ifndef PAIR
#define PAIR 0
#endif
#ifndef EXACT
#define EXACT 0
#endif
#if X
#define NT (NL + NL)    /* tokens: sign-token's 0..NL-1, new ones NL..NT-1 */
#else
#define NT NL
#endif
#define COUNTED (BACK < NT - 1)     /* otherwise there are too few tokens to reach the bound */
#define NONE 0
#define A 1
#define V 2
#define NOT 255

byte by[NL];            /* which browser started the login */
bit here[NL];           /* it began on the site, as far as the app can tell */
bit alive[NL];          /* V's cookie of it is there; A's never die */
byte why[NL];           /* why V lost it */
byte started = 0;
byte good[NT];          /* XWMS: who approved the token */
bit gone[NT];           /* XWMS: it was redeemed */
bit known[NT];          /* A knows it */
bit asked[NL];          /* the login's address was approved, once each */
byte flying = NOT;      /* V is on the way to the callback with this token */
#define ST(p) (SH -> 0 : (p))
#define AT(p, n) ((p) * NT + (n))
#define TR(p, n) AT((SH && R1 -> 0 : (p)), n)      /* with R1=0 the memory of tried tokens is the process's own */
#define IS(p, n) issued[AT((ISH -> 0 : (p)), n)]
bit issued[NP * NT];
bit tried[NP * NT];     /* per store: the token is claimed, or had its try */
bit done[NP * NT];      /* per store: XWMS confirmed it (redeemed or spent) */
byte with[NP * NL];     /* per store: the token + 1 that has claimed the pending login, 0 none */
#if PAIR
bit pair[NP * NL * NT]; /* per store: V's login and this token came together; A would only hinder itself */
#define PR(p, l, n) pair[(ST(p) * NL + (l)) * NT + (n)]
#define CAME(p, l, n) (by[l] == V -> PR(p, l, n) : with[ST(p) * NL + (l)] == (n) + 1)
#else
#define CAME(p, l, n) (with[ST(p) * NL + (l)] == (n) + 1)
#endif
#if COUNTED
byte back[NP * NL];     /* per store: how often the login was given back */
#define MAYGOBACK(p, l) (back[ST(p) * NL + (l)] < BACK)
#else
#define MAYGOBACK(p, l) 1
#endif
bit learned[NP]; bit stuck[NP];
byte jb, jc, jl, jp, jphase = 0;    /* the call under way: 1 sent, 2 confirmed, 3 refused */

byte letin, lost, polls;
bit end, clicked;
#define WHO(p) (MODE == 3 && R3 == 4 && learned[ST(p)])
#define SAMEP(p) (MODE == 1 || (MODE == 3 && R3 && learned[ST(p)]))
#define QUIET(p, l, n) (R1 < 4 && CAME(p, l, n) && (!EXACT || MODE == 2 || (l) == exact))

/* The first login starts at process 0: until then they are alike. */
inline which(p) { p = 0; if :: true :: NP > 1 && started > 0 -> p = NP - 1 fi }
inline kill(l, w) { if :: by[l] == V && alive[l] -> alive[l] = 0; if :: CLAIM == 4 || CLAIM == 6 -> why[l] = w :: else fi :: else fi }

inline start(b, h) {
    which(p);
    if
    :: b == V && !(SAMEP(p) || h) -> skip       /* the page with one button; clicking it is CLICK */
    :: else ->
        if
        :: b == V ->
            any = 0; own = NOT; exact = NOT; i = 0;     /* own: oldest; exact: oldest begun elsewhere */
            do
            :: i < started ->
                if :: by[i] == V && alive[i] -> any++;
                    if :: own == NOT -> own = i :: else fi;
                    if :: exact == NOT && !here[i] -> exact = i :: else fi
                :: else fi; i++
            :: else -> break
            od;
            if
            :: any < N -> alive[started] = 1
            :: any >= N && R4 && exact != NOT -> kill(exact, 2); alive[started] = 1
            :: any >= N && R4 > 1 && exact == NOT && !(h) -> skip
            :: else -> kill(own, 2); alive[started] = 1
            fi
        :: else -> known[started] = 1
        fi;
        by[started] = b; here[started] = h && (MODE != 1 || CLAIM > 2); IS(p, started) = 1;
        printf("@ browser %d starts login %d at process %d, here=%d\n", b, started, p, h);
        started++
    fi;
    own = NOT; exact = NOT; any = 0; i = 0; p = 0
}

/* What XWMS's answer does.  b == NONE: the token was only to be spent; l: the login it would have been matched to. */
inline answer(b, cc, l, pp, ok) {
    if
    :: ok ->
        tried[TR(pp, cc)] = 1; done[AT(ST(pp), cc)] = 1;
        if
        :: MODE == 3 && R3 && l == cc && b != NONE && !stuck[ST(pp)] && !learned[ST(pp)] -> learned[ST(pp)] = 1;
            printf("@   process %d learns same\n", pp)
        :: MODE == 3 && R3 && R3 < 4 && l != cc && !IS(pp, cc) && (R3 < 3 || l != NOT) ->
            if :: learned[ST(pp)] -> printf("@   process %d unlearns\n", pp) :: else fi;
            learned[ST(pp)] = 0; stuck[ST(pp)] = (R3 > 1)
        :: else
        fi;
        if
        :: b == V && WHO(pp) && l != cc && good[cc] == A -> printf("@   V is shown whom they would be, and leaves\n")
        :: b != NONE && !(b == V && WHO(pp) && l != cc && good[cc] == A) -> printf("@   browser %d now has the session of person %d\n", b, good[cc]);
            if :: b == V && good[cc] == V -> letin = 1 :: else fi;
            assert(CLAIM > 1 || !(b == V && good[cc] == A));
            assert((CLAIM && CLAIM != 2) || !(b == A && good[cc] == V))
        :: else -> printf("@   token %d is spent\n", cc);
            if :: ENDS && MODE != 1 && l != NOT -> kill(l, 1) :: else fi
        fi
    :: else ->
        if :: R1 == 1 || (R1 == 3 && b != NONE) -> tried[TR(pp, cc)] = 0 :: else fi
    fi;
    if :: b != NONE && (ok || R4 < 3 || l == cc) -> kill(l, 1) :: else fi;
    if
    :: b != NONE && !ok && R4 == 3 && l != cc && MAYGOBACK(pp, l) -> with[ST(pp) * NL + l] = 0;
#if COUNTED
        back[ST(pp) * NL + l]++
#endif
    :: else
    fi
}

inline xwms(cc, ok) {
    ok = (good[cc] != NONE && !gone[cc]);
    if :: ok -> gone[cc] = 1; if :: X == 3 -> gone[(cc + NL) % NT] = 1 :: else fi :: else fi
}

inline verify(b, cc, l) {
    if :: b == A && cc == 0 && good[cc] == NONE && polls < 3 && CLAIM == 5 -> polls++; assert(polls <= POLLS) :: else fi;
    if
    :: ASYNC == 1 && jphase == 0 && !end -> jb = b; jc = cc; jl = l; jp = p; jphase = 1; letin = 2;
        printf("@   the call to XWMS is under way\n")
    :: ASYNC == 2 && jphase == 0 && !end && good[cc] == NONE -> jb = b; jc = cc; jl = l; jp = p; jphase = 3;
        printf("@   XWMS refuses, not approved; its answer is under way\n")
    :: xwms(cc, ok); answer(b, cc, l, p, ok); ok = 0
    fi
}

inline spend(cc, l) {
    if
    :: R1 < 2 && tried[TR(p, cc)] -> printf("@   not spent: the name is taken\n")
    :: R1 > 1 && done[AT(ST(p), cc)] -> skip
    :: else ->
        if :: FLOOD && !IS(p, cc) -> printf("@   not spent: over budget\n"); if :: R1 != 1 -> tried[TR(p, cc)] = 1 :: else fi
        :: tried[TR(p, cc)] = 1; verify(NONE, cc, l)
        fi
    fi
}

#define FREE(p, n, l) (!NEXT || !with[ST(p) * NL + (l)] || with[ST(p) * NL + (l)] == (n) + 1)

inline find_owner(b, cc) {
    exact = NOT; own = NOT; would = NOT; any = 0; i = 0; hide = 0;
    if :: true :: b == A && !LEAN -> hide = 1 :: b == A && !LEAN -> hide = 2 fi;
    do
    :: i < started ->
        if
        :: by[i] == b && (b == A || alive[i]) && hide < 2 && !(hide && i == cc) ->
            any = 1;
            if :: i == cc -> exact = i :: else fi;
            if :: (here[i] || WHO(p)) && !(b == A && with[ST(p) * NL + i]) ->
                would = i;
                if :: FREE(p, cc, i) -> own = i :: else fi
            :: else fi
        :: else fi;
        i++
    :: else -> break
    od;
    if :: own != NOT -> would = own :: else fi;
    sm = SAMEP(p);
    if :: exact != NOT || (SAMEP(p) && !WHO(p)) || IS(p, cc) -> own = exact :: else fi
}

inline callback(b, cc, nav) {
    which(p); letin = 0;
    find_owner(b, cc);
    printf("@ browser %d opens the callback with token %d at process %d (nav=%d, cookies %d, owner %d)\n", b, cc, p, nav, any, own);
    if
    :: !(nav) ->
        if
        :: own == NOT && R2 == 0 -> tried[TR(p, cc)] = 1
        :: (own == NOT && R2 == 1) || (R2 == 2 && (own == NOT || own != exact)) -> spend(cc, NOT)
        :: else
        fi
    :: (nav) && MODE == 2 && own != NOT && own == exact -> kill(own, 1)
    :: (nav) && own == NOT ->
        if :: b == V && !R4 -> i = 0; do :: i < NL -> kill(i, 1); i++ :: else -> break od :: else fi;
        spend(cc, would)
    :: (nav) && own != NOT && !(MODE == 2 && own == exact) ->
        if
        :: R1 < 2 && tried[TR(p, cc)] -> printf("@   refused: tried, or the name is taken\n");
            if :: own == exact -> kill(own, 1) :: else fi
        :: R1 > 1 && QUIET(p, own, cc) -> printf("@   refused: a copy\n")
        :: R1 > 1 && !QUIET(p, own, cc) && (with[ST(p) * NL + own] || tried[TR(p, cc)]) ->
#if PAIR
            if :: b == V -> PR(p, own, cc) = 1 :: else fi;
#endif
            spend(cc, NOT)
        :: R1 < 2 && !tried[TR(p, cc)] && with[ST(p) * NL + own] -> kill(own, 1); if :: !R1 -> tried[TR(p, cc)] = 1 :: else fi
        :: else ->
#if PAIR
            if :: b == V -> PR(p, own, cc) = 1 :: else fi;
#endif
            with[ST(p) * NL + own] = cc + 1; tried[TR(p, cc)] = 1; verify(b, cc, own)
        fi
    fi;
    exact = NOT; own = NOT; would = NOT; any = 0; i = 0; hide = 0
}

inline approve(b, t) {
    asked[t] = 1; c = t + (X -> NL : 0); good[c] = b;
    if :: X > 1 -> good[t] = b :: else fi;
    printf("@ person %d approves login %d in their browser: token %d is good\n", b, t, c)
}

/* V comes home with the right token of login t; was: its pending login is still there and began here. */
inline home(t, nav) {
    was = alive[t];
    callback(V, c, nav);
    if
    :: by[t] == V && (nav) && letin == 0 ->
        printf("@   honest login %d is denied (%d)\n", t, why[t]);
        cause = (!was -> why[t] : (sm -> 3 : 4));
        if :: CLAIM == 4 && cause == 3 -> lost++; assert(lost < LOST) :: else fi;
        assert(CLAIM != 6 || !(CAUSE == cause && here[t]));
    :: else
    fi; was = 0; cause = 0; letin = 0; sm = 0; p = 0
}

inline pick(x, n) { x = 0; do :: x < n - 1 -> x++ :: break od }
#define MAIN (!end && started < NL - TRIES)

init {
    byte p, i, exact = NOT, own = NOT, would = NOT, any, hide, t, c, cause, k; bit ok, was, sm;
    if :: L0 -> learned[0] = 1; learned[NP - 1] = 1 :: else fi;
    do
    :: atomic { MAIN -> start(A, 1) }
    :: atomic { started > 0 && !end -> pick(t, started); if :: by[t] == A && !asked[t] && (!LEAN || t == started - 1) -> approve(A, t); known[c] = 1 :: else fi; t = 0; c = 0 }
    :: atomic { !end -> pick(c, NT); if :: known[c] -> callback(A, c, 1) :: else fi; letin = 0; sm = 0; p = 0; c = 0 }
    :: atomic { MAIN && XSTART -> start(V, 0) }                      /* cross-site start */
    :: atomic { MAIN && MAIL -> start(V, 1) }
    :: atomic { MAIN && SILENT -> start(V, (R5 == 0 || SILENT == 2)) }
    :: atomic { !end && !LEAN -> pick(c, NT); if :: known[c] -> callback(V, c, 1) :: else fi; letin = 0; sm = 0; p = 0; c = 0 }
    :: atomic { !end && FRAME -> pick(c, NT); if :: known[c] -> callback(V, c, 0) :: else fi; letin = 0; sm = 0; p = 0; c = 0 }
    :: atomic { MAIN && (CLICK == 1 || (CLICK == 2 && !clicked)) -> start(V, 1); clicked = (CLICK == 2) }
    :: atomic { !end && started > 0 && flying == NOT -> pick(t, started);
        if
        :: !asked[t] && (!LEAN || by[t] == V) -> approve(V, t);
            if :: RACE -> flying = c :: !RACE -> home(t, 1) :: FRAME && !RACE -> home(t, 0) fi
        :: else
        fi; t = 0; c = 0 }
    :: atomic { !end && flying != NOT -> c = flying; t = (c < NL -> c : c - NL); flying = NOT; home(t, 1); c = 0; t = 0 }
    :: atomic { jphase == 1 && !end -> xwms(jc, ok); jphase = (ok -> 2 : 3); ok = 0; printf("@   XWMS answers: %d\n", jphase) }
    :: atomic { jphase > 1 && !end -> answer(jb, jc, jl, jp, (jphase == 2));
        assert(CLAIM != 6 || !(CAUSE == 5 && jphase == 3 && jb == V && by[jl] == V && good[jc] == V && jc == jl + (X -> NL : 0)));
        jb = 0; jc = 0; jl = 0; jp = 0; jphase = 0; letin = 0 }
    :: atomic { COPY && !end && jphase == 1 && jb == V -> callback(V, jc, 1); letin = 0; sm = 0; p = 0 }
    :: atomic { TRIES && CLAIM == 3 && !end && flying == NOT && started == NL - TRIES ->
        end = 1; k = 0; printf("@ -- the attacker stops --\n");
        do
        :: k < TRIES -> start(V, 1); t = started - 1; approve(V, t); callback(V, c, 1);
            if :: letin == 1 -> break :: else -> k++ fi
        :: else -> break
        od;
        assert(k < TRIES) }
    od
}
