# Mail::DKIM as a peer: verifies or signs every message of a file in one process.
#
# usage: mail_dkim_peer.pl verify MESSAGES RECORD | sign MESSAGES KEY
# MESSAGES holds messages, each after its length as four octets, big-endian. verify prints a line each; sign writes the
# signature fields framed in the same way.
use strict;
use warnings;
use Mail::DKIM::DNS;
use Mail::DKIM::Signer;
use Mail::DKIM::Verifier;
use Net::DNS;

my ($mode, $path, $what) = @ARGV;
my $data = do { local $/; open my $in, '<:raw', $path or die "$path: $!"; <$in> };
binmode STDOUT;
my @ways = ('simple/simple', 'simple/relaxed', 'relaxed/simple', 'relaxed/relaxed');

# The key comes from the command line instead of the DNS.
{
  no warnings 'redefine';
  *Mail::DKIM::DNS::query_async = sub {
    my ($name, $type, %options) = @_;
    my $record = Net::DNS::RR->new(name => $name, type => 'TXT', txtdata => [unpack '(A250)*', $what]);
    my @answer = ($record);
    my $done = $options{Callbacks}{Success};
    return sub { $done->(@answer) };
  };
}

my $turn = 0;
for (my $at = 0; $at < length $data;) {
  my $length = unpack 'N', substr $data, $at, 4;
  my $message = substr $data, $at + 4, $length;
  $at += 4 + $length;
  if ($mode eq 'verify') {
    my $result = eval {
      my $verifier = Mail::DKIM::Verifier->new;
      $verifier->PRINT($message);
      $verifier->CLOSE;
      $verifier->result_detail;
    };
    $result = "error $@" unless defined $result;
    $result =~ s/\s+/ /g;
    print "$result\n";
  }
  else {
    my $field = eval {
      my $signer = Mail::DKIM::Signer->new(
        Algorithm => 'rsa-sha256', Method => $ways[$turn % 4], Domain => 'example.org', Selector => 's1', KeyFile => $what,
      );
      $signer->PRINT($message);
      $signer->CLOSE;
      $signer->signature->as_string;
    };
    $field = "error $@" unless defined $field;
    print pack('N', length $field), $field;
  }
  $turn++;
}
