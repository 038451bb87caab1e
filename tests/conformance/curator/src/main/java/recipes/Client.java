package recipes;

import java.io.IOException;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.WatchedEvent;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.Watcher.Event.KeeperState;
import org.apache.zookeeper.ZooDefs;
import org.apache.zookeeper.ZooKeeper;

/** ZooKeeper's own client, of whatever version it is built with. */
final class Client extends ZooKeeper {
    private static final Pattern SERVER = Pattern.compile("remoteserver:\\S*?([0-9.]+:[0-9]+) ");

    private final States states;

    /** What it was told about its connection. */
    static final class States implements Watcher {
        final List<KeeperState> all = new CopyOnWriteArrayList<>();

        @Override
        public void process(WatchedEvent event) {
            if (event.getType() == Event.EventType.None) {
                all.add(event.getState());
            }
        }
    }

    private Client(String servers, int timeoutMillis, States states, boolean maybeReadOnly) throws IOException {
        super(servers, timeoutMillis, states, maybeReadOnly);
        this.states = states;
    }

    private Client(String servers, States states, long id, byte[] password, boolean maybeReadOnly) throws IOException {
        super(servers, Lab.SESSION_MILLIS, states, id, password, maybeReadOnly);
        this.states = states;
    }

    static Client connect(Lab lab, String servers) throws Exception {
        return connect(lab, servers, Lab.SESSION_MILLIS, false);
    }

    static Client connect(Lab lab, String servers, int timeoutMillis, boolean maybeReadOnly) throws Exception {
        return lab.keep(new Client(servers, timeoutMillis, new States(), maybeReadOnly)).connected();
    }

    /** Begins to connect. */
    static Client begin(Lab lab, String servers, boolean maybeReadOnly) throws Exception {
        return lab.keep(new Client(servers, Lab.SESSION_MILLIS, new States(), maybeReadOnly));
    }

    /** Goes on with a session, at one of these servers; it may be refused. */
    static Client resume(Lab lab, String servers, long id, byte[] password, boolean maybeReadOnly) throws Exception {
        return lab.keep(new Client(servers, new States(), id, password, maybeReadOnly));
    }

    Client connected() throws Exception {
        Lab.await("a client connects", () -> getState() == ZooKeeper.States.CONNECTED);
        return this;
    }

    /** Waits for a server that it may only read at. */
    void readOnly() throws Exception {
        Lab.await("a client may read", () -> getState() == ZooKeeper.States.CONNECTEDREADONLY);
    }

    List<KeeperState> states() {
        return states.all;
    }

    /** The server that it is connected to. */
    String server() throws Exception {
        connected();
        Matcher matcher = SERVER.matcher(toString());
        Lab.check(matcher.find(), "it names its server: " + this);
        return matcher.group(1);
    }

    /** Goes away without a word, as a process that dies. */
    void abandon() throws IOException {
        cnxn.disconnect();
    }

    /** Asks again for as long as the connection is lost meanwhile. */
    static <T> T again(Callable<T> request) throws Exception {
        long end = System.nanoTime() + Lab.PATIENCE_SECONDS * 1_000_000_000L;
        for (;;) {
            try {
                return request.call();
            } catch (KeeperException.ConnectionLossException lost) {
                if (System.nanoTime() > end) {
                    throw lost;
                }
                Thread.sleep(20);
            }
        }
    }

    /** Makes a znode. */
    String make(String path, String data, CreateMode mode) throws Exception {
        return again(() -> {
            try {
                return create(path, Lab.bytes(data), ZooDefs.Ids.OPEN_ACL_UNSAFE, mode);
            } catch (KeeperException.NodeExistsException sentAgain) {
                return path;
            }
        });
    }

    String make(String path, String data) throws Exception {
        return make(path, data, CreateMode.PERSISTENT);
    }

    void remove(String path) throws Exception {
        again(() -> {
            try {
                delete(path, -1);
            } catch (KeeperException.NoNodeException sentAgain) {
                // It is deleted.
            }
            return null;
        });
    }

    String read(String path) throws Exception {
        return again(() -> Lab.text(getData(path, false, null)));
    }

    /** Waits until this client's server has all that was acknowledged before. */
    void sync(String path) throws Exception {
        again(() -> {
            int[] code = {1};
            Object answered = new Object();
            synchronized (answered) {
                sync(path, (result, which, context) -> {
                    synchronized (answered) {
                        code[0] = result;
                        answered.notifyAll();
                    }
                }, null);
                long end = System.nanoTime() + Lab.PATIENCE_SECONDS * 1_000_000_000L;
                while (code[0] == 1) {
                    Lab.check(System.nanoTime() < end, "a sync is answered");
                    answered.wait(1000);
                }
            }
            if (code[0] != 0) {
                throw KeeperException.create(KeeperException.Code.get(code[0]), path);
            }
            return null;
        });
    }
}
