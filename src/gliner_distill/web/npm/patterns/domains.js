// The top-level domains by which a host is recognized without a scheme and without `www`.

const AMBIGUOUS = `
  al am as by cc do id is la md me mk ml mm my pm ps py rs sh so st tf to us ws app art bin blog
  cab care center dev doc email events exe fun group guide health help home host house law legal
  life link live local map media mov name news page post press pro review reviews school services
  site social space store support systems test tips today tools top video work works world zip
  zone`;
const OTHERS = `
  com org net edu gov mil int info biz mobi tel travel jobs museum aero coop asia academy agency
  bank cafe cloud club community company consulting design digital example expert finance hospital
  hotel international marketing online photography shop software solutions studio tech technology
  university website wiki xyz ac ad ae af ag ai ao aq ar at au aw ax az ba bb bd be bf bg bh bi bj
  bm bn bo br bs bt bw bz ca cd cf cg ch ci ck cl cm cn co cr cu cv cw cx cy cz de dj dk dm dz ec
  ee eg er es et eu fi fj fk fm fo fr ga gb gd ge gf gg gh gi gl gm gn gp gq gr gs gt gu gw gy hk
  hm hn hr ht hu ie il im in io iq ir it je jm jo jp ke kg kh ki km kn kp kr kw ky kz lb lc li lk
  lr ls lt lu lv ly ma mc mg mh mn mo mp mq mr ms mt mu mv mw mx mz na nc ne nf ng ni nl no np nr
  nu nz om pa pe pf pg ph pk pl pn pr pt pw qa re ro ru rw sa sb sc sd se sg si sk sl sm sn sr ss
  su sv sx sy sz tc td tg th tj tk tl tm tn tr tt tv tw tz ua ug uk uy uz va vc ve vg vi vn vu wf
  ye yt za zm zw`;

/** Domains that are also suffixes of files or short words; a host in one counts only with a path. */
export const AMBIGUOUS_DOMAINS = new Set(AMBIGUOUS.trim().split(/\s+/));

/** The other domains: generic ones in common use, and those of countries and regions. */
export const TOP_LEVEL_DOMAINS = new Set(OTHERS.trim().split(/\s+/));
