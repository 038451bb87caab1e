package recipes;

import java.util.Arrays;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.curator.framework.CuratorFramework;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.data.Stat;

/** Money goes from account to account, each time with a line in a book: all of it, or nothing. */
final class Transactions {
    private static final int ACCOUNTS = 4;
    private static final int CLERKS = 3;
    private static final int AT_FIRST = 1000;

    private Transactions() {
    }

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("transaction", Transactions::transfers);
    }

    private static void transfers(Lab lab) throws Exception {
        CuratorFramework observer = lab.client();
        for (int i = 0; i < ACCOUNTS; i++) {
            lab.node(observer, "account-" + i, Integer.toString(AT_FIRST));
        }
        String book = lab.node(observer, "book", "");
        AtomicInteger done = new AtomicInteger();
        for (int i = 0; i < CLERKS; i++) {
            CuratorFramework client = lab.client();
            Random random = new Random(i);
            String name = book + "/" + i + ".";
            AtomicInteger number = new AtomicInteger();
            lab.work("clerk " + i, l -> {
                if (transfer(lab, client, random, name + number.incrementAndGet())) {
                    done.incrementAndGet();
                }
            });
        }
        lab.underFire();
        Lab.sync(observer);
        int[] expected = new int[ACCOUNTS];
        Arrays.fill(expected, AT_FIRST);
        int lines = 0;
        for (String line : observer.getChildren().forPath(book)) {
            String[] words = Lab.text(observer.getData().forPath(book + "/" + line)).split(" ");
            Lab.check(words[0].equals("from"), "no line of a transaction that failed is in the book: " + String.join(" ", words));
            expected[Integer.parseInt(words[1])] -= Integer.parseInt(words[5]);
            expected[Integer.parseInt(words[3])] += Integer.parseInt(words[5]);
            lines++;
        }
        int[] found = new int[ACCOUNTS];
        for (int i = 0; i < ACCOUNTS; i++) {
            found[i] = Integer.parseInt(Lab.text(observer.getData().forPath(lab.path("account-" + i))));
        }
        lab.measure("lines=" + lines + " acknowledged=" + done);
        Lab.same(Arrays.toString(expected), Arrays.toString(found), "accounts, by the book");
        Lab.check(lines >= done.get(), "each transfer that was acknowledged is in the book");
    }

    private static boolean transfer(Lab lab, CuratorFramework client, Random random, String line) throws Exception {
        int from = random.nextInt(ACCOUNTS);
        int to = (from + 1 + random.nextInt(ACCOUNTS - 1)) % ACCOUNTS;
        int sum = 1 + random.nextInt(9);
        Stat fromStat = new Stat();
        Stat toStat = new Stat();
        int fromHas = Integer.parseInt(Lab.text(client.getData().storingStatIn(fromStat).forPath(lab.path("account-" + from))));
        int toHas = Integer.parseInt(Lab.text(client.getData().storingStatIn(toStat).forPath(lab.path("account-" + to))));
        // One in eight has to fail at its last operation.
        boolean fails = random.nextInt(8) == 0;
        try {
            client.inTransaction()
                    .setData().withVersion(fromStat.getVersion()).forPath(lab.path("account-" + from), Lab.bytes("" + (fromHas - sum)))
                    .and().setData().withVersion(toStat.getVersion()).forPath(lab.path("account-" + to), Lab.bytes("" + (toHas + sum)))
                    .and().create().forPath(line, Lab.bytes((fails ? "failed " : "from ") + from + " to " + to + " sum " + sum))
                    .and().check().withVersion(fails ? 1_000_000 : -1).forPath(lab.path("book"))
                    .and().commit();
            lab.never(fails, "a transaction went through whose check fails");
            return true;
        } catch (KeeperException.BadVersionException | KeeperException.NodeExistsException another) {
            // Another clerk was first; or this one was, its connection was lost, and it was sent again.
            return false;
        }
    }
}
