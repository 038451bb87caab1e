package recipes;

import java.util.concurrent.atomic.AtomicInteger;

/** Counts who is inside of what admits only so many. */
final class Exclusive {
    private final Lab lab;
    private final int most;
    private final AtomicInteger inside = new AtomicInteger();
    /** The most that were ever inside at once. */
    private final AtomicInteger seen = new AtomicInteger();

    Exclusive(Lab lab, int most) {
        this.lab = lab;
        this.most = most;
    }

    void enter() {
        int now = inside.incrementAndGet();
        seen.accumulateAndGet(now, Math::max);
        lab.never(now > most, now + " are inside of what admits " + most);
    }

    void leave() {
        inside.decrementAndGet();
    }

    int inside() {
        return inside.get();
    }

    int seen() {
        return seen.get();
    }
}
