package recipes;

import java.util.concurrent.atomic.AtomicLong;
import org.apache.curator.framework.CuratorFramework;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.data.Stat;

/**
 * A znode that only the holder of a lock writes, each time only if it has the version that the holder knows. Whoever else writes meanwhile
 * is found out by the znode itself, whatever the clients believe.
 */
final class Fence {
    private static final AtomicLong TOKENS = new AtomicLong();

    private final CuratorFramework client;
    private final String path;
    private int version;

    Fence(CuratorFramework client, String path) {
        this.client = client;
        this.path = path;
    }

    /** What it has now is what the holder knows. */
    void take() throws Exception {
        version = client.checkExists().forPath(path).getVersion();
    }

    /** The same where the last holder may not know yet that it is none: from now on it cannot write. */
    void takeOver() throws Exception {
        take();
        while (!write()) {
            // It wrote once more.
        }
    }

    /** False if somebody else has written. */
    boolean write() throws Exception {
        String token = "token " + TOKENS.incrementAndGet();
        try {
            version = client.setData().withVersion(version).forPath(path, Lab.bytes(token)).getVersion();
            return true;
        } catch (KeeperException.BadVersionException mineOrAnothers) {
            // A write whose connection was lost is sent again, and may meet itself.
            Stat stat = new Stat();
            boolean isMine = Lab.text(client.getData().storingStatIn(stat).forPath(path)).equals(token) && stat.getVersion() == version + 1;
            version = stat.getVersion();
            return isMine;
        }
    }
}
