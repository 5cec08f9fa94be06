/* The login by OAuth 2.0 (authorization code, state, PKCE, nonce), with somebody who wants it to go wrong.  SPIN 6.5;
 * `check.sh` runs it, `table.py` runs all.
 *
 * Browsers A (the attacker's: sends whichever of its cookies it likes, never loses one) and V (the victim's: opens any
 * address that A knows).  The app has a client at H, an honest server, and with EVIL=1 another at E, which is A's own:
 * E sees what is sent to it, and may lead V on to H with whatever parameters it knows.  State, verifier and nonce of a
 * login are of one seed, in the sealed cookie of the browser that began it, which nobody reads.
 *
 * The world
 *  OPENID  1: H gives ID tokens, with the nonce of the request
 *  ASPKCE  what H does with a verifier: 0 ignores it, 1 checks it if the request had a challenge, 2 demands both or none
 *  HISS    1: H names itself in its callbacks (RFC 9207)      EVIL  1: there is E
 *  LOOSE   1: H sends codes also to another address, which A reads, where a request asks for that
 *  NP      processes       SH  1: they share a store
 * What may happen
 *  LEAK    1: A learns a code once the app has answered its callback; 2: before it comes, if V began its login
 *  SEEN    1: A learns the address to which V's login was sent; 2: but only after ten minutes
 *  COPY    1: V's callbacks come twice          JOBS  callbacks under way at once
 *  AGE     1: logins expire                     RESTART  processes that lose their memory, so often
 *  DOWN    calls that fail, so often: not sent, or sent with an unknown outcome
 * The rules: 1 is what is built
 *  STATE   a callback belongs to the login that has its state; 0: to any login of the browser
 *  BIND    the state counts in the browser that began the login; 0: in any
 *  PKCE, NONCE    are sent, and NONCE is compared        URI  H is sent the redirect URI that the code was asked for with
 *  ISS     another server's name in the callback is refused
 *  SEP     each client has a redirect URI, and a callback there counts for logins of that client only
 *  SUB     a person is a `sub` of one issuer; 0: of any
 *  ONCE    login and code are claimed           KEPT  an unknown outcome does not give them back      LATE  0: as AGE says
 * The claims
 *  CLAIM   0 the next two; 1 V is never in A's session; 2 A is never in V's; 3 no code is sent twice
 */
#define NC 2            /* codes */
#define A 1
#define V 2
#define NOT 255
#define H 0
#define E 1

byte by[NL], started, codes;
bit at[NL], alive[NL], old[NL], seen[NL];       /* seen: A knows state, challenge and nonce, which its address has */
byte who[NC], state[NC], chal[NC], nonce[NC];   /* of the request: whose login's */
bit evil[NC], gone[NC], known[NC], went[NC];
#define ST(p) (SH -> 0 : (p))
bit used[NP * NL], tried[NP * NC];
byte jb[JOBS], jc[JOBS], jl[JOBS], jp[JOBS], step[JOBS];
#define IDLE 0
#define CLAIM_ALL 1
#define SEND 2
#define GOOD 3
#define BAD 4
#define LOST 5
#define UNSENT 6
byte restarts, downs;
#define YOUNG(l) (!old[l] || LATE)

inline which(p) { p = 0; if :: true :: NP > 1 && started > 0 -> p = NP - 1 fi }
inline pick(x, n) { x = 0; do :: x < n - 1 -> x++ :: break od }
inline seat(j) { j = 0; if :: step[0] != IDLE && JOBS > 1 -> j = JOBS - 1 :: else fi }
inline over(j) { if :: LEAK == 1 -> known[jc[j]] = 1 :: else fi; jb[j] = 0; jc[j] = 0; jl[j] = 0; jp[j] = 0; step[j] = IDLE }
inline kill(l) { if :: by[l] == V -> alive[l] = 0 :: else fi }

inline start(b, k) {
    by[started] = b; at[started] = k;
    if :: b == V -> alive[started] = 1 :: else fi;
    if :: b == A || k == E || SEEN == 1 -> seen[started] = 1 :: else fi;
    printf("@ browser %d starts login %d at %d\n", b, started, k); started++
}

/* Person b approves at H: with login l's own parameters, or with what A knows. st: state, ch: challenge, no: nonce. */
inline approve(b, st, ch, no, ev) {
    who[codes] = b; state[codes] = st; chal[codes] = (PKCE -> ch : NOT); nonce[codes] = no; evil[codes] = ev;
    if :: b == A || ev || (LEAK == 2 && st != NOT && by[st] == V) -> known[codes] = 1 :: else fi;
    printf("@ person %d approves at H (state %d, challenge %d, nonce %d): code %d\n", b, st, ch, no, codes); codes++
}

/* Browser b opens the callback; h: led there by H itself. */
inline arrive(j, b, s, c, h, twice) {
    which(p); l = NOT;
    if
    :: STATE && s != NOT && (by[s] == b || !BIND) -> l = s
    :: !STATE -> pick(l, started); if :: by[l] != b -> l = NOT :: else fi
    :: else
    fi;
    if :: l != NOT && ((by[l] == V && !alive[l] && !(twice)) || !YOUNG(l)) -> l = NOT :: else fi;
    if :: l != NOT && (h) && at[l] == E && (SEP || (ISS && HISS)) -> l = NOT :: else fi;
    printf("@ browser %d opens the callback with state %d and code %d at process %d, login %d\n", b, s, c, p, l);
    if
    :: l == NOT -> if :: LEAK == 1 -> known[c] = 1 :: else fi
    :: else -> jb[j] = b; jc[j] = c; jl[j] = l; jp[j] = p; step[j] = CLAIM_ALL
    fi; l = NOT; p = 0
}

inline signed_in(b, person) {
    printf("@   browser %d now has the session of person %d\n", b, person);
    assert(CLAIM > 1 || !(b == V && person == A));
    assert((CLAIM && CLAIM != 2) || !(b == A && person == V))
}

inline redeem(c, l, ok) {
    ok = who[c] != 0 && !gone[c] && (!evil[c] || !URI);
    if
    :: PKCE && ASPKCE == 2 && chal[c] != l -> ok = 0
    :: PKCE && ASPKCE == 1 && chal[c] != NOT && chal[c] != l -> ok = 0
    :: !PKCE && ASPKCE && chal[c] != NOT -> ok = 0
    :: else
    fi;
    if :: ok -> gone[c] = 1 :: else fi;
    printf("@   H is sent code %d with the verifier of login %d: %d\n", c, l, ok)
}

inline go(j) {
    if
    :: step[j] == CLAIM_ALL ->
        if
        :: ONCE && (used[ST(jp[j]) * NL + jl[j]] || (at[jl[j]] == H && tried[ST(jp[j]) * NC + jc[j]])) -> printf("@   refused: a copy\n"); over(j)
        :: else -> used[ST(jp[j]) * NL + jl[j]] = 1; step[j] = SEND;
            if :: at[jl[j]] == H -> tried[ST(jp[j]) * NC + jc[j]] = 1 :: else fi    /* each client has its own */
        fi
    :: step[j] == SEND && at[jl[j]] == E -> printf("@   E is sent code %d\n", jc[j]); known[jc[j]] = 1; kill(jl[j]);
        if :: !SUB && jb[j] == A -> signed_in(jb[j], V) :: else fi; over(j)     /* E says that it was V */
    :: step[j] == SEND && at[jl[j]] == H ->
        if :: CLAIM == 3 -> assert(!went[jc[j]]) :: else fi;
        if
        :: redeem(jc[j], jl[j], ok); step[j] = (ok -> GOOD : BAD); went[jc[j]] = (CLAIM == 3)
        :: downs < DOWN -> downs++; step[j] = UNSENT; printf("@   the call does not leave\n")
        :: downs < DOWN -> downs++; step[j] = LOST; went[jc[j]] = (CLAIM == 3); printf("@   the call is lost\n")
        :: downs < DOWN -> downs++; redeem(jc[j], jl[j], ok); step[j] = LOST; went[jc[j]] = (CLAIM == 3); printf("@   the answer is lost\n")
        fi; ok = 0
    :: step[j] == GOOD -> kill(jl[j]);
        if
        :: OPENID && NONCE && nonce[jc[j]] != jl[j] -> printf("@   refused: another nonce\n")
        :: else -> signed_in(jb[j], who[jc[j]])
        fi; over(j)
    :: step[j] == BAD || (step[j] == LOST && KEPT) -> kill(jl[j]); over(j)
    :: step[j] == UNSENT || (step[j] == LOST && !KEPT) -> used[ST(jp[j]) * NL + jl[j]] = 0; tried[ST(jp[j]) * NC + jc[j]] = 0; over(j)
    fi
}

/* What A puts into a request: of a login that it has seen, or nothing. */
inline some(w) { pick(w, NL); if :: seen[w] :: true -> w = NOT fi }

init {
    byte p, i, j, l = NOT, sx, sy, sz, c; bit ok, u;
    do
    :: atomic { started < NL -> start(A, H) }
    :: atomic { started < NL -> start(V, H) }
    :: atomic { started < NL && EVIL -> start(A, E) }
    :: atomic { started < NL && EVIL -> start(V, E) }
    /* V approves what V began. */
    :: atomic { started > 0 && codes < NC -> seat(j); pick(sx, started);
        if :: by[sx] == V && at[sx] == H && step[j] == IDLE -> approve(V, sx, sx, sx, 0); c = codes - 1; arrive(j, V, sx, c, 1, 0) :: else fi;
        sx = 0; c = 0; j = 0 }
    /* V approves a request of A's, or A does. */
    :: atomic { started > 0 && codes < NC -> seat(j); some(sx); some(sy); some(sz); u = 0; if :: LOOSE -> u = 1 :: true fi;
        if :: step[j] == IDLE -> approve(V, sx, sy, sz, u); c = codes - 1; if :: !u -> arrive(j, V, sx, c, 1, 0) :: else fi :: else fi;
        sx = 0; sy = 0; sz = 0; u = 0; c = 0; j = 0 }
    :: atomic { started > 0 && codes < NC -> some(sx); some(sy); some(sz); approve(A, sx, sy, sz, 0); sx = 0; sy = 0; sz = 0 }
    /* A opens callbacks with what it knows, and has V open some. */
    :: atomic { started > 0 && codes > 0 -> seat(j); some(sx); pick(c, codes);
        if :: known[c] && step[j] == IDLE -> if :: arrive(j, A, sx, c, 0, 0) :: arrive(j, V, sx, c, 0, 0) fi :: else fi; sx = 0; c = 0; j = 0 }
    :: atomic { COPY && codes > 0 -> seat(j); pick(c, codes);
        if :: who[c] == V && !evil[c] && step[j] == IDLE -> arrive(j, V, state[c], c, 1, 1) :: else fi; c = 0; j = 0 }
    :: atomic { pick(j, JOBS); do :: step[j] != IDLE -> go(j); if :: JOBS > 1 -> break :: else fi :: else -> break od; j = 0 }
    :: atomic { AGE && started > 0 -> pick(sx, started);
        if :: !old[sx] -> old[sx] = 1; printf("@ login %d is older than ten minutes\n", sx); if :: SEEN == 2 -> seen[sx] = 1 :: else fi :: else fi; sx = 0 }
    :: atomic { restarts < RESTART && !SH && started > 0 -> pick(p, NP); restarts++; printf("@ process %d starts anew\n", p);
        i = 0; do :: i < NL -> used[p * NL + i] = 0; i++ :: else -> break od;
        i = 0; do :: i < NC -> tried[p * NC + i] = 0; i++ :: else -> break od;
        j = 0; do :: j < JOBS -> if :: step[j] != IDLE && jp[j] == p -> over(j) :: else fi; j++ :: else -> break od; i = 0; j = 0; p = 0 }
    od
}
