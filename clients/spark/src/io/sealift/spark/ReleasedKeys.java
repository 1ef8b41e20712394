package io.sealift.spark;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.security.GeneralSecurityException;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import javax.crypto.Cipher;
import javax.crypto.spec.GCMParameterSpec;
import javax.crypto.spec.SecretKeySpec;
import org.apache.hadoop.conf.Configuration;
import org.apache.parquet.crypto.KeyAccessDeniedException;
import org.apache.parquet.crypto.keytools.KmsClient;

/**
 * Opens the data keys of files that Sealift wrote, with dataset keys that an operator released
 * ({@code sealift keys release DATASET --json}). It reads only, and asks nobody over the network.
 *
 * <p>{@code wrappedDEK} is base64 of nonce (12 bytes), ciphertext, tag (16): AES-256-GCM under the dataset key that
 * {@code masterKeyID} names, whose UTF-8 bytes are the additional data.
 */
public final class ReleasedKeys implements KmsClient {
  /** The property that names the file of released keys, as seen from driver and executors. */
  public static final String KEYS_FILE = "sealift.keys.file";

  private static final int KEY_BYTES = 32;
  private static final int NONCE_BYTES = 12;
  private static final int TAG_BITS = 128;
  /** A data key, wrapped: nonce, 16 to 32 bytes, tag. */
  private static final int MOST_WRAPPED_BYTES = NONCE_BYTES + KEY_BYTES + TAG_BITS / 8;
  private static final long MOST_FILE_BYTES = 16L << 20;

  private final Map<String, SecretKeySpec> keys = new HashMap<>();

  @Override
  public void initialize(
      Configuration configuration, String kmsInstanceID, String kmsInstanceURL, String accessToken) {
    // Both may come from the file that is read. Nothing is asked of an address that stands there.
    if (!"DEFAULT".equals(kmsInstanceID) || !"DEFAULT".equals(kmsInstanceURL)) {
      throw new KeyAccessDeniedException("the key service that the file names is not one of Sealift's");
    }
    String file = configuration.getTrimmed(KEYS_FILE);
    if (file == null || file.isEmpty()) {
      throw new KeyAccessDeniedException("no keys: set spark.hadoop." + KEYS_FILE);
    }
    try {
      read(Paths.get(file));
    } catch (IOException | IllegalArgumentException error) {
      // Its own words may quote the file, which holds keys.
      throw new KeyAccessDeniedException(
          "the file of " + KEYS_FILE + " cannot be read as what `sealift keys release --json` prints");
    }
  }

  @Override
  public String wrapKey(byte[] keyBytes, String masterKeyIdentifier) {
    throw new UnsupportedOperationException("released keys are for reading");
  }

  @Override
  public byte[] unwrapKey(String wrappedKey, String masterKeyIdentifier) {
    SecretKeySpec key = keys.get(masterKeyIdentifier);
    if (key == null) {
      throw new KeyAccessDeniedException("no key was released for " + masterKeyIdentifier);
    }
    try {
      byte[] wrapped = Base64.getDecoder().decode(wrappedKey);
      if (wrapped.length > MOST_WRAPPED_BYTES || wrapped.length < NONCE_BYTES + TAG_BITS / 8) {
        throw new KeyAccessDeniedException("the data key wrapped by " + masterKeyIdentifier + " is malformed");
      }
      Cipher cipher = Cipher.getInstance("AES/GCM/NoPadding");
      cipher.init(Cipher.DECRYPT_MODE, key, new GCMParameterSpec(TAG_BITS, wrapped, 0, NONCE_BYTES));
      cipher.updateAAD(masterKeyIdentifier.getBytes(StandardCharsets.UTF_8));
      return cipher.doFinal(wrapped, NONCE_BYTES, wrapped.length - NONCE_BYTES);
    } catch (GeneralSecurityException | IllegalArgumentException error) {
      throw new KeyAccessDeniedException(
          "the data key does not open with " + masterKeyIdentifier + ": the file was altered, or the key is another");
    }
  }

  /** The last line of the file is the summary that holds the keys. */
  private void read(Path path) throws IOException {
    if (Files.size(path) > MOST_FILE_BYTES) {
      throw new IOException("too large");
    }
    List<String> lines = Files.readAllLines(path, StandardCharsets.UTF_8);
    lines.removeIf(line -> line.trim().isEmpty());
    if (lines.isEmpty()) {
      throw new IOException("empty");
    }
    JsonNode released = new ObjectMapper().readTree(lines.get(lines.size() - 1)).path("keys");
    for (JsonNode key : released) {
      byte[] bytes = Base64.getDecoder().decode(key.path("key_base64").asText());
      if (bytes.length != KEY_BYTES) {
        throw new IOException("not a key");
      }
      keys.put(key.path("id").asText(), new SecretKeySpec(bytes, "AES"));
    }
  }
}
