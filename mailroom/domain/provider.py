"""Whose mailboxes an address is in: recipient domains by the company that runs their mail.

Only domains that a provider gives to the public are listed; a company's own domain at one of them
is "other", because only its MX would tell. Statistics are kept under these names: never rename
one, and add domains by the line.
"""

from collections.abc import Iterator, Mapping
from itertools import chain

OTHER = "other"

# provider: domains, separated by white space. `name.{a,b}` stands for name.a and name.b.
_TABLE: Mapping[str, str] = {
    "gmail": "gmail.com googlemail.com",
    "microsoft": """
        outlook.{com,at,be,cl,co.id,co.il,co.th,com.ar,com.au,com.br,com.gr,com.pe,com.tr,com.vn}
        outlook.{cz,de,dk,es,fr,hu,ie,in,it,jp,kr,lv,my,ph,pt,sa,sg,sk}
        hotmail.{com,be,ca,ch,cl,co.id,co.il,co.in,co.jp,co.kr,co.nz,co.th,co.uk,co.za,com.ar}
        hotmail.{com.au,com.br,com.hk,com.tr,com.tw,com.vn,cz,de,dk,es,fi,fr,gr,hu,it,my,nl,no}
        hotmail.{ph,rs,se,sg,sk}
        live.{com,at,be,ca,ch,cl,cn,co.kr,co.uk,co.za,com.ar,com.au,com.mx,com.my,com.ph,com.pt}
        live.{com.sg,de,dk,fi,fr,hk,ie,in,it,jp,nl,no,ru,se}
        msn.com passport.com windowslive.com""",
    # AOL is Yahoo's; AT&T, Verizon and Sky have their customers' mail there.
    "yahoo": """
        yahoo.{com,ae,at,be,bg,ca,cl,cm,co.hu,co.id,co.il,co.in,co.kr,co.nz,co.th,co.uk,co.za}
        yahoo.{com.ar,com.au,com.br,com.cn,com.co,com.hk,com.hr,com.mx,com.my,com.pe,com.ph}
        yahoo.{com.sg,com.tr,com.tw,com.ua,com.ve,com.vn,cz,de,dk,ee,es,fi,fr,gr,hu,ie,in,it,lt}
        yahoo.{lv,nl,no,pl,pt,ro,rs,se,si,sk}
        aol.{com,at,be,ch,co.nz,co.uk,com.au,com.br,com.mx,cz,de,dk,es,fi,fr,in,it,nl,pl,se}
        aim.com love.com ymail.com rocketmail.com myyahoo.com netscape.net verizon.net
        att.net sbcglobal.net bellsouth.net ameritech.net flash.net nvbell.net pacbell.net
        prodigy.net snet.net swbell.net sky.com""",
    "yahoo-japan": "yahoo.co.jp ymail.ne.jp ybb.ne.jp",
    "apple": "icloud.com me.com mac.com privaterelay.appleid.com",
    "proton": "proton.me protonmail.com protonmail.ch pm.me",
    "fastmail": "fastmail.{com,fm,co.uk,de,es,fr,in,jp,net,nl,org,se,to,us} sent.com",
    "zoho": "zoho.com zohomail.com zoho.eu zoho.in zohomail.eu zohomail.in",
    "united-internet": """
        gmx.{net,de,at,ch,com,co.uk,es,fr,info,it,org,us} web.de email.de mail.com 1und1.de
        online.de caramail.com caramail.fr""",
    "telekom": "t-online.de magenta.de",
    "vodafone-de": "arcor.de vodafone.de vodafonemail.de kabelmail.de unitybox.de",
    "freenet": "freenet.de",
    "posteo": "posteo.de posteo.net posteo.at posteo.ch",
    "orange": "orange.fr wanadoo.fr voila.fr orange.com",
    "free": "free.fr aliceadsl.fr libertysurf.fr",
    "sfr": "sfr.fr neuf.fr cegetel.net club-internet.fr numericable.fr noos.fr 9online.fr",
    "bouygues": "bbox.fr",
    "laposte": "laposte.net",
    "bt": "btinternet.com btopenworld.com talk21.com",
    "virgin": "virginmedia.com virgin.net ntlworld.com blueyonder.co.uk",
    "talktalk": "talktalk.net tiscali.co.uk lineone.net",
    "libero": "libero.it iol.it inwind.it blu.it giallo.it",
    "italiaonline": "virgilio.it",
    "tim": "tim.it alice.it tin.it",
    "aruba": "aruba.it",
    "telefonica": "telefonica.net movistar.es",
    "telenet": "telenet.be",
    "proximus": "proximus.be skynet.be",
    "ziggo": "ziggo.nl home.nl chello.nl upcmail.nl quicknet.nl",
    "kpn": "kpnmail.nl kpnplanet.nl planet.nl hetnet.nl xs4all.nl",
    "swisscom": "bluewin.ch bluemail.ch",
    "a1": "aon.at a1.net",
    "seznam": "seznam.cz email.cz post.cz spoluzaci.cz",
    "wp": "wp.pl o2.pl tlen.pl go2.pl",
    "onet": "onet.pl onet.eu op.pl poczta.onet.pl vp.pl autograf.pl buziaczek.pl",
    "interia": "interia.pl interia.eu poczta.fm",
    "mail-ru": "mail.ru bk.ru inbox.ru list.ru internet.ru",
    "yandex": "yandex.{ru,com,by,kz,ua,com.tr} ya.ru narod.ru",
    "rambler": "rambler.ru lenta.ru autorambler.ru myrambler.ru ro.ru",
    "ukr-net": "ukr.net",
    "comcast": "comcast.net xfinity.com",
    "charter": "charter.net spectrum.net rr.com twc.com roadrunner.com brighthouse.com",
    "cox": "cox.net",
    "centurylink": "centurylink.net centurytel.net embarqmail.com q.com qwest.net",
    "earthlink": "earthlink.net mindspring.com",
    "frontier": "frontier.com frontiernet.net",
    "optimum": "optonline.net optimum.net",
    "rogers": "rogers.com",
    "bell": "bell.net sympatico.ca",
    "shaw": "shaw.ca",
    "telus": "telus.net",
    "videotron": "videotron.ca",
    "uol": "uol.com.br bol.com.br",
    "terra": "terra.com.br terra.com",
    "ig": "ig.com.br",
    "globo": "globo.com globomail.com",
    "bigpond": "bigpond.com bigpond.net.au bigpond.com.au telstra.com",
    "optus": "optusnet.com.au",
    "iinet": "iinet.net.au westnet.com.au",
    "xtra": "xtra.co.nz",
    "docomo": "docomo.ne.jp",
    "kddi": "ezweb.ne.jp au.com",
    "softbank": "softbank.ne.jp i.softbank.jp vodafone.ne.jp",
    "naver": "naver.com",
    "kakao": "hanmail.net daum.net kakao.com",
    "tencent": "qq.com vip.qq.com foxmail.com",
    "netease": "163.com 126.com yeah.net vip.163.com vip.126.com 188.com",
    "sina": "sina.com sina.cn vip.sina.com",
    "rediff": "rediffmail.com rediff.com",
}


def _domains(text: str) -> Iterator[str]:
    for word in text.split():
        name, brace, endings = word.partition("{")
        yield from (name + end for end in endings.rstrip("}").split(",")) if brace else (word,)


_PROVIDERS: Mapping[str, str] = {
    domain: provider for provider, text in _TABLE.items() for domain in _domains(text)
}

PROVIDERS = tuple(chain(_TABLE, (OTHER,)))


def provider_of(recipient: str) -> str:
    """Return the provider of an address or a bare domain, "other" for one nobody has listed."""
    domain = recipient.rpartition("@")[2].lower().rstrip(".")
    return _PROVIDERS.get(domain, OTHER)
