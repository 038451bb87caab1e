package recipes;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.curator.RetryPolicy;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.state.ConnectionState;
import org.apache.curator.retry.RetryForever;
import org.apache.curator.retry.RetryNTimes;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.ZooKeeper;

/** What one scenario works with: clients, a folder of its own in the tree, workers, and what befalls the servers. */
final class Lab {
    /** Longer than any fault: no session may be lost to one. */
    static final int SESSION_MILLIS = 40_000;
    /** How long anything may take on a machine that is busy with other tests. */
    static final int PATIENCE_SECONDS = 90;
    /** How many turns each worker has to have between two faults. */
    private static final int TURNS = 5;

    final String scenario;
    /** The servers' addresses, with commas between. */
    final String servers;
    final Harness harness;
    final List<String> faults;
    /** The folder of this scenario and this run. */
    final String root;
    /** How often some client lost its connection. */
    final AtomicInteger disconnections = new AtomicInteger();
    private final List<CuratorFramework> clients = new ArrayList<>();
    private final List<ZooKeeper> plainClients = new ArrayList<>();
    private final List<Worker> workers = new ArrayList<>();
    private final List<String> violations = new CopyOnWriteArrayList<>();
    private final List<CuratorFramework> doomed = new CopyOnWriteArrayList<>();
    private final AtomicBoolean ends = new AtomicBoolean();

    Lab(String servers, String scenario, List<String> faults, Harness harness) {
        this.servers = servers;
        this.scenario = scenario;
        this.faults = faults;
        this.harness = harness;
        this.root = "/" + scenario + "-" + Long.toString(System.nanoTime(), 36);
    }

    /** A client that knows all servers and asks again for as long as it takes. */
    CuratorFramework client() throws Exception {
        return client(new RetryForever(50), null);
    }

    /** One that is told of each request whose fate is unknown. */
    CuratorFramework clientWithoutRetries() throws Exception {
        return client(new RetryNTimes(0, 0), null);
    }

    /** One that has this identity of the scheme `digest`, if any. */
    synchronized CuratorFramework client(RetryPolicy retries, String identity) throws Exception {
        CuratorFrameworkFactory.Builder builder = CuratorFrameworkFactory.builder()
                .connectString(servers)
                .sessionTimeoutMs(SESSION_MILLIS)
                .connectionTimeoutMs(20_000)
                .retryPolicy(retries);
        if (identity != null) {
            builder.authorization("digest", bytes(identity));
        }
        CuratorFramework client = builder.build();
        client.getConnectionStateListenable().addListener((which, state) -> {
            if (state == ConnectionState.SUSPENDED) {
                disconnections.incrementAndGet();
            }
            if (state == ConnectionState.LOST && !doomed.contains(which)) {
                violated("a session was lost");
            }
        });
        client.start();
        clients.add(client);
        check(client.blockUntilConnected(PATIENCE_SECONDS, TimeUnit.SECONDS), "a client connects");
        return client;
    }

    /** Has the client closed in the end. */
    synchronized <T extends ZooKeeper> T keep(T client) {
        plainClients.add(client);
        return client;
    }

    /** A place in this scenario's folder. */
    String path(String name) {
        return root + "/" + name;
    }

    /** A znode in this scenario's folder. */
    String node(CuratorFramework client, String name, String data) throws Exception {
        try {
            return client.create().creatingParentsIfNeeded().forPath(path(name), bytes(data));
        } catch (KeeperException.NodeExistsException again) {
            return path(name);
        }
    }

    /** Returns when the client's server has all that was acknowledged to anybody before. */
    static void sync(CuratorFramework client) throws Exception {
        for (;;) {
            CountDownLatch answered = new CountDownLatch(1);
            AtomicInteger code = new AtomicInteger();
            client.sync().inBackground((who, event) -> {
                code.set(event.getResultCode());
                answered.countDown();
            }).forPath("/");
            check(answered.await(PATIENCE_SECONDS, TimeUnit.SECONDS), "a sync is answered");
            if (code.get() == KeeperException.Code.OK.intValue()) {
                return;
            }
            Thread.sleep(20);
        }
    }

    /** Ends a client's session, as if it had been away for too long: what it has made goes, and it is told when it asks next. */
    void endSession(CuratorFramework client) throws Exception {
        doomed.add(client);
        ZooKeeper of = client.getZookeeperClient().getZooKeeper();
        CountDownLatch connected = new CountDownLatch(1);
        ZooKeeper twin = new ZooKeeper(servers, SESSION_MILLIS, event -> connected.countDown(), of.getSessionId(), of.getSessionPasswd());
        check(connected.await(PATIENCE_SECONDS, TimeUnit.SECONDS), "a second client takes the session over");
        twin.close();
    }

    /** Does this again and again until the end, in a thread of its own. */
    Worker work(String name, Scenario turn) {
        Worker worker = new Worker(name, turn);
        workers.add(worker);
        return worker;
    }

    /** Lets the workers work while one fault after the other befalls the servers, and asks that each goes on every time. */
    void underFire() throws Exception {
        workers.forEach(Thread::start);
        goOn("the beginning");
        for (String fault : faults) {
            harness.ask(fault);
            goOn(fault);
        }
        stop();
    }

    private void goOn(String after) throws Exception {
        List<Long> before = new ArrayList<>();
        workers.forEach(worker -> before.add(worker.turns.get()));
        for (int i = 0; i < before.size(); i++) {
            Worker worker = workers.get(i);
            long enough = before.get(i) + TURNS;
            await(worker.getName() + " goes on after " + after, () -> {
                report();
                return worker.turns.get() >= enough;
            });
        }
    }

    /** Lets each worker finish its turn. */
    void stop() throws Exception {
        ends.set(true);
        for (Worker worker : workers) {
            worker.join(PATIENCE_SECONDS * 1000L);
            check(!worker.isAlive(), worker.getName() + " ends");
        }
        report();
    }

    boolean ends() {
        return ends.get();
    }

    /** Something that must never be was seen. */
    void violated(String what) {
        violations.add(what);
    }

    void never(boolean seen, String what) {
        if (seen) {
            violated(what);
        }
    }

    private void report() {
        if (!violations.isEmpty()) {
            List<String> first = violations.subList(0, Math.min(5, violations.size()));
            throw new AssertionError(violations.size() + " violations: " + String.join("; ", first));
        }
    }

    /** The last look, when all is quiet. */
    void finish() {
        report();
        long turns = workers.stream().mapToLong(worker -> worker.turns.get()).sum();
        measure("turns=" + turns + " disconnections=" + disconnections);
    }

    void measure(String what) {
        harness.say("@measure " + scenario + " " + what);
    }

    static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    static String text(byte[] data) {
        return new String(data, StandardCharsets.UTF_8);
    }

    static void check(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError("not so: " + what);
        }
    }

    static void same(Object expected, Object found, String what) {
        if (!expected.equals(found)) {
            throw new AssertionError(what + ": expected " + brief(expected) + ", found " + brief(found));
        }
    }

    /** Waits for a condition that other threads or processes bring about. */
    static void await(String what, Callable<Boolean> condition) throws Exception {
        long end = System.nanoTime() + PATIENCE_SECONDS * 1_000_000_000L;
        while (!condition.call()) {
            check(System.nanoTime() < end, "within " + PATIENCE_SECONDS + " s: " + what);
            Thread.sleep(5);
        }
    }

    private static String brief(Object value) {
        String text = String.valueOf(value);
        return text.length() > 600 ? text.substring(0, 600) + "... (" + text.length() + " characters)" : text;
    }

    synchronized void close() {
        ends.set(true);
        for (CuratorFramework client : clients) {
            client.close();
        }
        for (ZooKeeper client : plainClients) {
            try {
                client.close();
            } catch (InterruptedException end) {
                Thread.currentThread().interrupt();
            }
        }
    }

    /** Takes one turn after the other until the end. */
    final class Worker extends Thread {
        final AtomicLong turns = new AtomicLong();
        private final Scenario turn;

        private Worker(String name, Scenario turn) {
            super(scenario + " " + name);
            this.turn = turn;
            setDaemon(true);
        }

        @Override
        public void run() {
            try {
                while (!ends.get()) {
                    turn.run(Lab.this);
                    turns.incrementAndGet();
                }
            } catch (Throwable failure) {
                if (!ends.get() || failure instanceof AssertionError) {
                    failure.printStackTrace();
                    violated(getName() + ": " + failure);
                }
            }
        }
    }
}
