package conformance;

import com.taobao.metamorphosis.client.producer.SendResult;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.IntUnaryOperator;

/** What was sent to one group, what its consumer read, and where the consumer's positions stood meanwhile. */
final class Ledger {
    private static final class Entry {
        String partition = "";
        /** Where it begins; -1 until its producer was told. */
        long offset = -1;
        int deliveries;
        /** When its consumer was done with it; 0 before. */
        long finished;
    }

    private static final class Position {
        final String partition;
        final long offset;
        final long seen;

        Position(String partition, long offset, long seen) {
            this.partition = partition;
            this.offset = offset;
            this.seen = seen;
        }
    }

    /** By the message's number, which is its text. */
    private final Map<Integer, Entry> entries = new TreeMap<>();
    private final List<Position> positions = new ArrayList<>();

    private Entry entry(int number) {
        return entries.computeIfAbsent(number, unknown -> new Entry());
    }

    synchronized void sent(int number, SendResult result) {
        Entry entry = entry(number);
        entry.partition = result.getPartition().toString();
        entry.offset = result.getOffset();
    }

    /** The listener was given it. Returns how often until now. */
    synchronized int delivered(int number) {
        return ++entry(number).deliveries;
    }

    /** From now on the consumer's position may be behind it. */
    synchronized void finished(int number) {
        Entry entry = entry(number);
        if (entry.finished == 0) {
            entry.finished = System.nanoTime();
        }
    }

    /** Where the group stood at this moment, or before. */
    synchronized void stood(Map<String, Long> stored) {
        long now = System.nanoTime();
        stored.forEach((partition, offset) -> positions.add(new Position(partition, offset, now)));
    }

    synchronized int finishedNumbers() {
        int count = 0;
        for (Entry entry : entries.values()) {
            count += entry.finished > 0 ? 1 : 0;
        }
        return count;
    }

    synchronized int deliveredNumbers() {
        int count = 0;
        for (Entry entry : entries.values()) {
            count += entry.deliveries > 0 ? 1 : 0;
        }
        return count;
    }

    /** Each message was given to the listener as often as it should, and no position was ever beyond what had been finished. */
    synchronized void check(int sent, IntUnaryOperator deliveries) {
        Map<Integer, String> wrong = new TreeMap<>();
        for (int number = 0; number < sent; number++) {
            Entry entry = entry(number);
            if (entry.deliveries != deliveries.applyAsInt(number)) {
                wrong.put(number, entry.deliveries + " times, in partition " + entry.partition);
            }
        }
        Lab.same(Map.of(), wrong, "messages that were not read as often as they should");
        for (Position position : positions) {
            entries.forEach((number, entry) -> {
                boolean behind = entry.partition.equals(position.partition) && entry.offset >= 0 && entry.offset < position.offset;
                Lab.check(!behind || entry.finished != 0 && entry.finished <= position.seen,
                        "the position of partition " + position.partition + " was beyond message " + number + " before that was read");
            });
        }
    }

    /** In the end a position is at most one message before what was finished. */
    synchronized void checkEnd(Map<String, Long> stored) {
        Map<String, Long> last = new HashMap<>();
        for (Entry entry : entries.values()) {
            if (entry.finished != 0) {
                last.merge(entry.partition, entry.offset, Math::max);
            }
        }
        last.forEach((partition, offset) -> Lab.check(stored.getOrDefault(partition, -1L) >= offset,
                "the position of partition " + partition + " is " + stored.get(partition) + ", its last message was read at " + offset));
    }

    synchronized int deliveries(int number) {
        return entry(number).deliveries;
    }

    /** Where message {@code number} is. */
    synchronized String partition(int number) {
        return entry(number).partition;
    }

    synchronized long offset(int number) {
        return entry(number).offset;
    }
}
